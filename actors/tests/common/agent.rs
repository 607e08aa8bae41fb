//! An agent whose parties count what they are asked, and answer as a test says.

use super::clock::settle;
use super::lio::{Moment, WatchedLio};
use super::{DEADLINES, deletes, policy};
use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::{Cadence, Deadlines};
use actors::decide::policy::Policy;
use actors::decide::status::Status;
use actors::model::{Etag, FileFacts, Md5Sum, MountFacts, ObjectIndex, ObjectKey, Relevant};
use actors::ports::{Examined, ImsError, ImsPort, MountError, MountPort, S3Error, S3Port, Token};
use actors::reconciler::Tick;
use actors::sim::Sim;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time::Instant;

/// The site behind what a test says.
#[derive(Clone)]
pub struct Scripted {
    sim: Sim,
    script: Arc<Mutex<Script>>,
    together: Arc<Mutex<Option<Arc<Barrier>>>>,
}

#[derive(Default)]
struct Script {
    /// What IMS answers, one call after the other; `None`, and after the last: the truth.
    ims: VecDeque<Option<Vec<Value>>>,
    lio: usize,
    inspected: usize,
    mount_lives: Option<usize>,
    /// How long one look into a file takes, on a clock that stands still.
    look_takes: Duration,
    panics: Option<Party>,
    hangs: Option<Party>,
}

/// Whose port may panic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Party {
    Ims,
    S3,
    /// S3, while it reads an object in the background.
    Md5,
    Mount,
    Lio,
}

impl Scripted {
    pub fn new(sim: Sim) -> Self {
        Scripted { sim, script: Arc::default(), together: Arc::default() }
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

    /// Each look into a file takes so long; the clock has to stand still.
    pub fn each_look_takes(&self, look_takes: Duration) {
        self.script().look_takes = look_takes;
    }

    /// Every question to this party ends in a panic.
    pub fn panics(&self, party: Party) {
        self.script().panics = Some(party);
    }

    pub fn panics_no_more(&self) {
        self.script().panics = None;
    }

    /// Every question to this party stays without an answer, whatever deadline its port should have.
    pub fn hangs(&self, party: Option<Party>) {
        self.script().hangs = party;
    }

    async fn maybe_hang(&self, party: Party) {
        let hangs = self.script().hangs == Some(party);
        if hangs {
            std::future::pending::<()>().await;
        }
    }

    fn maybe_panic(&self, party: Party) {
        let panics = self.script().panics == Some(party);
        assert!(!panics, "as the test wants it");
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

    pub fn start(&self, cadence: Option<Cadence>, confirm_after: Duration) -> Agent {
        self.start_by(policy(confirm_after, 10), DEADLINES, cadence)
    }

    pub fn start_by(&self, policy: Policy, deadlines: Deadlines, cadence: Option<Cadence>) -> Agent {
        let (sim, script) = (self.sim.clone(), self.script.clone());
        let lio = WatchedLio::new(&sim, move |moment| match moment {
            Moment::Observe if script.lock().unwrap().panics == Some(Party::Lio) => {
                panic!("as the test wants it")
            }
            Moment::Before(_) => script.lock().unwrap().lio += 1,
            _ => {}
        });
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
        self.maybe_panic(Party::Ims);
        self.maybe_hang(Party::Ims).await;
        let answer = self.script().ims.pop_front().flatten();
        match answer {
            Some(images) => Ok(images),
            None => self.sim.list_images(token).await,
        }
    }
}

impl S3Port for Scripted {
    async fn list(&self, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        self.maybe_panic(Party::S3);
        self.maybe_hang(Party::S3).await;
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

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<Md5Sum, S3Error> {
        self.maybe_panic(Party::Md5);
        self.sim.md5(key, etag).await
    }
}

impl MountPort for Scripted {
    async fn check(&self) -> Result<MountFacts, MountError> {
        self.maybe_panic(Party::Mount);
        self.sim.check().await
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let (alive, takes) = {
            let mut script = self.script();
            script.inspected += 1;
            // What is looked at once more before its LUN lives on.
            let asked = script.inspected;
            (script.mount_lives.is_none_or(|lives| asked != lives + 1), script.look_takes)
        };
        if !takes.is_zero() {
            // Those that are asked at once take that long at once.
            let until = Instant::now() + takes;
            settle().await;
            tokio::time::advance(until.saturating_duration_since(Instant::now())).await;
        }
        match alive {
            true => self.sim.inspect(key).await,
            false => Err(MountError::Hung { what: key.to_string() }),
        }
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        self.sim.examine(keys).await
    }
}
