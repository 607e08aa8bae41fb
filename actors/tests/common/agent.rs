//! An agent whose parties count what they are asked, and answer as a test says.

use super::{DEADLINES, deletes, policy};
use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::{Cadence, Deadlines};
use actors::decide::policy::Policy;
use actors::decide::status::Status;
use actors::model::{
    Actual, Backstore, Etag, FileFacts, LunEntry, MountFacts, ObjectIndex, ObjectKey, Relevant, Step, Word,
};
use actors::ports::{
    Examined, ImsError, ImsPort, LioError, LioPort, MountError, MountPort, S3Error, S3Port, Token,
};
use actors::reconciler::Tick;
use actors::sim::Sim;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Barrier, watch};

/// The site behind what a test says.
#[derive(Clone)]
pub struct Scripted {
    sim: Sim,
    script: Arc<Mutex<Script>>,
    ims_asked: watch::Sender<usize>,
    together: Arc<Mutex<Option<Arc<Barrier>>>>,
}

#[derive(Default)]
struct Script {
    /// What IMS answers, one call after the other; `None`, and after the last: the truth.
    ims: VecDeque<Option<Vec<Value>>>,
    lio: usize,
    inspected: usize,
    mount_lives: Option<usize>,
}

impl Scripted {
    pub fn new(sim: Sim) -> Self {
        let (ims_asked, _) = watch::channel(0);
        Scripted { sim, script: Arc::default(), ims_asked, together: Arc::default() }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// What a replica of IMS answers that does not know of this image's tag.
    pub fn ims_without(sim: &Sim, id: &str) -> Option<Vec<Value>> {
        Some(sim.site().images.iter().filter(|image| image["id"] != id).cloned().collect())
    }

    pub fn ims_answers(&self, answers: impl IntoIterator<Item = Option<Vec<Value>>>) {
        self.script().ims.extend(answers);
    }

    /// No manifest is read before so many are being read.
    pub fn manifests_wait_for_each_other(&self, count: usize) {
        *self.together.lock().unwrap() = Some(Arc::new(Barrier::new(count)));
    }

    /// The mount hangs after so many files were looked into.
    pub fn mount_dies_after(&self, files: usize) {
        self.script().mount_lives = Some(files);
    }

    /// How often LIO was told something.
    pub fn asked_of_lio(&self) -> usize {
        self.script().lio
    }

    /// How many files were looked into.
    pub fn inspected(&self) -> usize {
        self.script().inspected
    }

    pub fn deletions(&self) -> usize {
        self.sim.site().told.iter().filter(deletes).count()
    }

    pub async fn until_ims_was_asked(&self, times: usize) {
        let mut asked = self.ims_asked.subscribe();
        let enough = asked.wait_for(|asked| *asked >= times);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("it asks too seldom").unwrap();
    }

    pub fn start(&self, cadence: Option<Cadence>, confirm_after: Duration) -> Agent {
        self.start_by(policy(confirm_after, 10), DEADLINES, cadence)
    }

    fn start_by(&self, policy: Policy, deadlines: Deadlines, cadence: Option<Cadence>) -> Agent {
        let (sim, lio) = (self.sim.clone(), self.clone());
        let ports = Ports {
            ims: self.clone(),
            tokens: sim.clone(),
            s3: self.clone(),
            mount: self.clone(),
            history: sim,
            lio: move || lio.clone(),
        };
        Agent::start(ports, policy, deadlines, cadence, &Kept::default())
    }

    pub async fn pass(&self, agent: &Agent) -> Status {
        agent.reconciler.send(Tick { confirmed: None }).await.unwrap()
    }

    pub async fn pass_once(&self) -> Status {
        self.pass(&self.start(None, super::AT_ONCE)).await
    }

    /// A pass whose manifests have so long.
    pub async fn pass_within(&self, objects_within: Duration) -> Status {
        let deadlines = Deadlines { objects: objects_within, ..DEADLINES };
        self.pass(&self.start_by(policy(super::AT_ONCE, 10), deadlines, None)).await
    }
}

impl ImsPort for Scripted {
    async fn list_images(&self, token: Option<&Token>) -> Result<Vec<Value>, ImsError> {
        let answer = self.script().ims.pop_front().flatten();
        self.ims_asked.send_modify(|asked| *asked += 1);
        match answer {
            Some(images) => Ok(images),
            None => self.sim.list_images(token).await,
        }
    }
}

impl S3Port for Scripted {
    async fn list(&self, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        self.sim.list(relevant).await
    }

    async fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64) -> Result<Vec<u8>, S3Error> {
        let together = self.together.lock().unwrap().clone();
        if let Some(together) = together {
            together.wait().await;
        }
        self.sim.get(key, etag, limit).await
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, S3Error> {
        self.sim.is_there(key).await
    }

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<String, S3Error> {
        self.sim.md5(key, etag).await
    }
}

impl MountPort for Scripted {
    async fn check(&self) -> Result<MountFacts, MountError> {
        self.sim.check().await
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let alive = {
            let mut script = self.script();
            script.inspected += 1;
            // What is looked at once more before its LUN lives on.
            let asked = script.inspected;
            script.mount_lives.is_none_or(|lives| asked != lives + 1)
        };
        match alive {
            true => self.sim.inspect(key).await,
            false => Err(MountError::Hung { what: key.to_string() }),
        }
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        self.sim.examine(keys).await
    }
}

impl LioPort for Scripted {
    fn observe(&mut self) -> Result<Actual, LioError> {
        self.sim.observe()
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        self.sim.backstore(name)
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        self.sim.lun(number)
    }

    fn apply(&mut self, step: &Step) -> Result<String, LioError> {
        self.script().lio += 1;
        self.sim.apply(step)
    }

    fn end_session(&mut self) {
        self.sim.end_session();
    }
}
