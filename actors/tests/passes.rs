//! When passes happen and how they end: ports with a gate, so that a test decides how long each takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::Cadence;
use actors::model::{
    Actual, Backstore, Etag, LunEntry, ObjectIndex, ObjectKey, Relevant, Step, TpgPath, Word,
};
use actors::ports::{ImsError, ImsPort, LioError, LioPort, S3Error, S3Port, Token};
use actors::reconciler::{Resync, Tick};
use actors::sim::Sim;
use common::{AT_ONCE, DEADLINES, policy};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const NEVER: Duration = Duration::from_secs(3600);
/// Long enough for every message on its way to be handled.
const A_WHILE: Duration = Duration::from_millis(60);

/// The site behind a gate: IMS answers once for each permit.
#[derive(Clone)]
struct Gated {
    sim: Sim,
    gate: Arc<Semaphore>,
    log: Arc<Mutex<Vec<(Asked, Instant)>>>,
    steps: Option<Arc<Steps>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Ims,
    Listing,
    SessionEnded,
}

/// Each step is announced, and waits for its permit.
struct Steps {
    announce: Mutex<Sender<Step>>,
    permit: Mutex<Receiver<()>>,
}

impl Gated {
    fn new(sim: Sim) -> Self {
        Gated { sim, gate: Arc::new(Semaphore::new(0)), log: Arc::default(), steps: None }
    }

    fn start(&self, cadence: Option<Cadence>) -> Agent {
        let (sim, lio) = (self.sim.clone(), self.clone());
        let ports = Ports {
            ims: self.clone(),
            tokens: sim.clone(),
            s3: self.clone(),
            mount: sim.clone(),
            history: sim,
            lio: move || lio.clone(),
        };
        Agent::start(ports, policy(AT_ONCE, 10), DEADLINES, cadence, &Kept::default())
    }

    fn note(&self, asked: Asked) {
        self.log.lock().unwrap().push((asked, Instant::now()));
    }

    fn times(&self, asked: Asked) -> Vec<Instant> {
        self.log.lock().unwrap().iter().filter(|(what, _)| *what == asked).map(|(_, at)| *at).collect()
    }

    fn count(&self, asked: Asked) -> usize {
        self.times(asked).len()
    }

    async fn until(&self, asked: Asked, count: usize) {
        let counted = async {
            while self.count(asked) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it never comes");
    }
}

impl ImsPort for Gated {
    async fn list_images(&self, token: Option<&Token>) -> Result<Vec<serde_json::Value>, ImsError> {
        self.note(Asked::Ims);
        self.gate.acquire().await.unwrap().forget();
        self.sim.list_images(token).await
    }
}

impl S3Port for Gated {
    async fn list(&self, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        self.note(Asked::Listing);
        self.sim.list(relevant).await
    }

    async fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64) -> Result<Vec<u8>, S3Error> {
        self.sim.get(key, etag, limit).await
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, S3Error> {
        self.sim.is_there(key).await
    }

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<String, S3Error> {
        self.sim.md5(key, etag).await
    }
}

impl LioPort for Gated {
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
        if let Some(steps) = &self.steps {
            steps.announce.lock().unwrap().send(step.clone()).unwrap();
            // Without a test that gives permits any more, the step goes on.
            let _ = steps.permit.lock().unwrap().recv();
        }
        self.sim.apply(step)
    }

    fn end_session(&mut self) {
        self.note(Asked::SessionEnded);
    }
}

#[actix::test]
async fn passes_never_overlap() {
    let port = Gated::new(Sim::small_site());
    let agent = port.start(None);
    let asked: Vec<_> = (0..3).map(|_| agent.reconciler.send(Tick { confirmed: None })).collect();
    let passes = actix::spawn(async move {
        let mut ended = Vec::new();
        for pass in asked {
            ended.push(pass.await.unwrap().scan_id);
        }
        ended
    });
    for pass in 1..=3 {
        port.until(Asked::Ims, pass).await;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!((port.count(Asked::Ims), port.count(Asked::Listing)), (pass, pass - 1));
        port.gate.add_permits(1);
    }
    assert_eq!(passes.await.unwrap(), [1, 2, 3]);
}

#[actix::test]
async fn any_number_of_resyncs_during_a_pass_make_exactly_one_more() {
    let port = Gated::new(Sim::small_site());
    let agent = port.start(None);
    let first = agent.reconciler.send(Tick { confirmed: None });
    let first = actix::spawn(first);
    port.until(Asked::Ims, 1).await;
    for confirmed in [None, Some("0badc0de".to_owned()), None, Some("00000000".to_owned())] {
        agent.reconciler.do_send(Resync { reason: "test", confirmed });
    }
    port.gate.add_permits(100);
    first.await.unwrap().unwrap();
    port.until(Asked::Listing, 2).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!((port.count(Asked::Ims), agent.status.borrow().scan_id), (2, 2));
}

#[actix::test]
async fn looks_at_the_tags_do_not_pile_up_during_a_long_pass_or_a_long_look() {
    let port = Gated::new(Sim::small_site());
    let agent = port.start(Some(Cadence { scan: NEVER, tags: Duration::from_millis(2) }));
    port.until(Asked::Ims, 1).await;
    tokio::time::sleep(A_WHILE).await;
    port.gate.add_permits(1);
    // The first look, and it hangs.
    port.until(Asked::Ims, 2).await;
    tokio::time::sleep(A_WHILE).await;
    agent.reconciler.do_send(Resync { reason: "test", confirmed: None });
    port.gate.add_permits(1);
    // What comes next is the pass that was asked for.
    port.until(Asked::Ims, 3).await;
    port.gate.add_permits(1);
    port.until(Asked::Listing, 2).await;
    assert!(port.count(Asked::Ims) <= 4);
}

#[actix::test]
async fn a_changed_tag_brings_one_pass_and_an_unchanged_one_none() {
    let port = Gated::new(Sim::small_site());
    port.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    let _agent = port.start(Some(Cadence { scan: NEVER, tags: Duration::from_millis(2) }));
    port.until(Asked::Ims, 4).await;
    assert_eq!(port.count(Asked::Listing), 1);
    port.sim.tag("00000000-0000-4000-8000-000000000004", true);
    port.until(Asked::Listing, 2).await;
    let looks = port.count(Asked::Ims);
    port.until(Asked::Ims, looks + 4).await;
    assert_eq!(port.count(Asked::Listing), 2);
}

#[actix::test]
async fn the_timer_starts_anew_after_a_pass_that_came_in_between() {
    let scan = Duration::from_millis(150);
    let port = Gated::new(Sim::small_site());
    let agent = port.start(Some(Cadence { scan, tags: NEVER }));
    port.gate.add_permits(1);
    port.until(Asked::SessionEnded, 1).await;
    agent.reconciler.do_send(Resync { reason: "test", confirmed: None });
    port.until(Asked::Ims, 2).await;
    // It takes longer than the timer that was set before it.
    tokio::time::sleep(2 * scan).await;
    port.gate.add_permits(100);
    port.until(Asked::Ims, 3).await;
    let (begun, ended) = (port.times(Asked::Ims)[2], port.times(Asked::SessionEnded)[1]);
    assert!(begun - ended >= scan, "{:?}", begun - ended);
}

#[actix::test]
async fn told_to_stop_it_finishes_the_step_and_begins_no_other() {
    let (announce, announced) = channel();
    let (permit, permitted) = channel();
    let steps = Steps { announce: Mutex::new(announce), permit: Mutex::new(permitted) };
    let port = Gated { steps: Some(Arc::new(steps)), ..Gated::new(Sim::small_site()) };
    port.gate.add_permits(100);
    let agent = port.start(None);
    let pass = actix::spawn(agent.reconciler.send(Tick { confirmed: None }));
    let announced = tokio::task::spawn_blocking(move || {
        let first = announced.recv().unwrap();
        permit.send(()).unwrap();
        (first, announced.recv().unwrap(), permit)
    });
    let (first, second, permit) = announced.await.unwrap();
    let reconciler = agent.reconciler.clone();
    let stop = actix::spawn(agent.stop(Duration::from_secs(20)));
    assert_eq!(pass.await.unwrap().unwrap().scan_id, 0, "the pass is given up");
    drop(permit);
    assert!(stop.await.unwrap(), "the session was ended");
    assert_eq!(port.sim.site().told, [first, second.clone()]);
    assert!(matches!(second, Step::CreateBackstore { .. }));
    tokio::time::sleep(A_WHILE).await;
    assert!(!reconciler.connected());
}

#[actix::test]
async fn a_stopped_agent_asks_nobody_any_more() {
    let port = Gated::new(Sim::small_site());
    port.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    let agent = port.start(Some(Cadence { scan: NEVER, tags: Duration::from_millis(2) }));
    port.until(Asked::Ims, 4).await;
    assert!(agent.stop(Duration::from_secs(20)).await);
    tokio::time::sleep(A_WHILE).await;
    let asked = port.count(Asked::Ims);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(port.count(Asked::Ims), asked);
}

#[actix::test]
async fn r1_a_backstore_that_another_target_has_begun_to_use_since_the_plan_is_kept() {
    let (announce, announced) = channel();
    let (permit, permitted) = channel();
    let sim = Sim::small_site();
    let node = common::Node::new(sim.clone());
    node.pass().await;
    sim.site().objects.remove(&ObjectKey::new("PE/CPE-amd.x86_64-26.11.squashfs"));
    let steps = Steps { announce: Mutex::new(announce), permit: Mutex::new(permitted) };
    let port = Gated { steps: Some(Arc::new(steps)), ..Gated::new(sim.clone()) };
    port.gate.add_permits(100);
    let agent = port.start(None);
    agent.reconciler.send(Tick { confirmed: None }).await.unwrap();
    let pass = actix::spawn(agent.reconciler.send(Tick { confirmed: None }));
    let theirs = sim.clone();
    let meddler = tokio::task::spawn_blocking(move || {
        while let Ok(step) = announced.recv() {
            if let Step::DeleteLun { lun, name } = step {
                let (tpg, plugin) = (TpgPath::new("iscsi/iqn.other/tpgt_1"), "fileio".to_owned());
                let entry = LunEntry { tpg, lun, plugin, name: name.to_string() };
                theirs.site().actual.luns.push(entry);
            }
            let _ = permit.send(());
        }
    });
    let status = pass.await.unwrap().unwrap();
    assert_eq!((status.summary.removed, status.summary.failed), (0, 1));
    assert!(sim.site().actual.luns.iter().any(|lun| lun.tpg.target() == "iqn.other"));
    drop((agent, port));
    meddler.await.unwrap();
}
