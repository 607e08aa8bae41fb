//! When passes happen and how they end: ports with a gate, so that a test decides how long each takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::{Cadence, Deadlines};
use actors::model::{Etag, LunEntry, Md5Sum, ObjectIndex, ObjectKey, Relevant, Request, Step, TpgPath};
use actors::ports::{ImsError, ImsPort, S3Error, S3Port, Token};
use actors::reconciler::{Resync, Tick};
use actors::sim::Sim;
use common::clock::{Clock, in_time, settle};
use common::lio::{Moment, WatchedLio, hang};
use common::{AT_ONCE, Node, policy};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
const TAGS: Duration = Duration::from_secs(5);
const PE: &str = "PE/CPE-amd.x86_64-26.11.squashfs";
/// The clock moves in these tests while the thread of Lio is at work, and that is no hang.
const DEADLINES: Deadlines = Deadlines { step: NEVER, objects: NEVER, upstream: NEVER };

/// The site behind a gate: IMS answers once for each permit.
#[derive(Clone)]
struct Gated {
    sim: Sim,
    gate: Arc<Semaphore>,
    log: watch::Sender<Vec<Asked>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Ims,
    Listing,
}

impl Gated {
    fn new(sim: Sim) -> Self {
        Gated { sim, gate: Arc::new(Semaphore::new(0)), log: watch::channel(Vec::new()).0 }
    }

    /// No pass waits for a permit.
    fn open(sim: Sim) -> Self {
        let port = Gated::new(sim);
        port.gate.add_permits(Semaphore::MAX_PERMITS / 2);
        port
    }

    fn start(&self, cadence: Option<Cadence>) -> Agent {
        self.start_watched(cadence, |_| {})
    }

    fn start_watched(
        &self,
        cadence: Option<Cadence>,
        hook: impl FnMut(Moment<'_>) + Send + 'static,
    ) -> Agent {
        let sim = self.sim.clone();
        let lio = WatchedLio::new(&sim, hook);
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
        self.log.send_modify(|log| log.push(asked));
    }

    fn count(&self, asked: Asked) -> usize {
        count(&self.log.borrow(), asked)
    }

    async fn until(&self, asked: Asked, times: usize) {
        let mut log = self.log.subscribe();
        in_time(log.wait_for(|log| count(log, asked) >= times)).await.unwrap();
    }
}

fn count(log: &[Asked], asked: Asked) -> usize {
    log.iter().filter(|what| **what == asked).count()
}

async fn until_pass(agent: &Agent, scan_id: u64) {
    let mut status = agent.status.clone();
    in_time(status.wait_for(|status| status.scan_id >= scan_id)).await.unwrap();
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

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<Md5Sum, S3Error> {
        self.sim.md5(key, etag).await
    }
}

#[actix::test]
async fn a_bucket_is_listed_once_in_a_pass_that_learns_of_no_other_folder() {
    let port = Gated::open(Sim::small_site());
    let agent = port.start(None);
    for passes in 1..=2 {
        agent.reconciler.send(Tick { confirmed: None }).await.unwrap();
        assert_eq!(port.count(Asked::Listing), passes);
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
        settle().await;
        assert_eq!((port.count(Asked::Ims), port.count(Asked::Listing)), (pass, pass - 1));
        port.gate.add_permits(1);
    }
    assert_eq!(in_time(passes).await.unwrap(), [1, 2, 3]);
}

#[actix::test]
async fn any_number_of_resyncs_during_a_pass_make_exactly_one_more() {
    let clock = Clock::stop();
    let port = Gated::new(Sim::small_site());
    let agent = port.start(None);
    let first = actix::spawn(agent.reconciler.send(Tick { confirmed: None }));
    port.until(Asked::Ims, 1).await;
    for _ in 0..4 {
        agent.reconciler.do_send(Resync { reason: "test" });
    }
    port.gate.add_permits(100);
    in_time(first).await.unwrap().unwrap();
    until_pass(&agent, 2).await;
    clock.advance(NEVER / 2).await;
    assert_eq!((port.count(Asked::Ims), agent.status.borrow().scan_id), (2, 2));
}

#[actix::test]
async fn looks_at_the_tags_do_not_pile_up_during_a_long_pass_or_a_long_look() {
    let clock = Clock::stop();
    let port = Gated::new(Sim::small_site());
    let agent = port.start(Some(Cadence { scan: NEVER, tags: TAGS }));
    port.until(Asked::Ims, 1).await;
    for _ in 0..10 {
        clock.advance(TAGS).await;
    }
    port.gate.add_permits(1);
    until_pass(&agent, 1).await;
    // The first look, and it hangs.
    port.until(Asked::Ims, 2).await;
    for _ in 0..10 {
        clock.advance(TAGS).await;
    }
    agent.reconciler.do_send(Resync { reason: "test" });
    port.gate.add_permits(1);
    // What comes next is the pass that was asked for.
    port.until(Asked::Ims, 3).await;
    assert_eq!(port.count(Asked::Listing), 1);
    port.gate.add_permits(1);
    until_pass(&agent, 2).await;
    settle().await;
    assert_eq!(port.count(Asked::Ims), 3, "twenty looks were due, one was taken, none is made up for");
    clock.advance(TAGS).await;
    assert_eq!(port.count(Asked::Ims), 4, "the next one comes in its time");
}

#[actix::test]
async fn a_changed_tag_brings_one_pass_and_an_unchanged_one_none() {
    let clock = Clock::stop();
    let port = Gated::open(Sim::small_site());
    let agent = port.start(Some(Cadence { scan: NEVER, tags: TAGS }));
    until_pass(&agent, 1).await;
    for _ in 0..3 {
        clock.advance(TAGS).await;
    }
    assert_eq!((port.count(Asked::Ims), port.count(Asked::Listing)), (4, 1));
    port.sim.tag("00000000-0000-4000-8000-000000000004", true);
    clock.advance(TAGS).await;
    until_pass(&agent, 2).await;
    for _ in 0..3 {
        clock.advance(TAGS).await;
    }
    assert_eq!((port.count(Asked::Ims), port.count(Asked::Listing)), (4 + 2 + 3, 2));
}

#[actix::test]
async fn the_timer_starts_anew_after_a_pass_that_came_in_between() {
    let clock = Clock::stop();
    let scan = Duration::from_secs(180);
    let port = Gated::new(Sim::small_site());
    let agent = port.start(Some(Cadence { scan, tags: NEVER }));
    port.gate.add_permits(1);
    until_pass(&agent, 1).await;
    agent.reconciler.do_send(Resync { reason: "test" });
    port.until(Asked::Ims, 2).await;
    // It takes longer than the timer that was set before it.
    clock.advance(2 * scan).await;
    port.gate.add_permits(100);
    until_pass(&agent, 2).await;
    let moment = Duration::from_secs(1);
    clock.advance(scan - moment).await;
    assert_eq!(port.count(Asked::Ims), 2);
    clock.advance(2 * moment).await;
    assert_eq!(port.count(Asked::Ims), 3);
}

#[actix::test]
async fn told_to_stop_it_finishes_the_step_and_begins_no_other() {
    let port = Gated::open(Sim::small_site());
    let creates =
        |moment: Moment<'_>| matches!(moment, Moment::Before(Request::Change(Step::CreateBackstore { .. })));
    let (hook, mut hung) = hang(creates);
    let agent = port.start_watched(None, hook);
    let pass = actix::spawn(agent.reconciler.send(Tick { confirmed: None }));
    hung.begun().await;
    let reconciler = agent.reconciler.clone();
    let stop = actix::spawn(agent.stop(NEVER));
    assert_eq!(in_time(pass).await.unwrap().unwrap().scan_id, 0, "the pass is given up");
    hung.let_go();
    assert!(in_time(stop).await.unwrap(), "the session was ended");
    let told = port.sim.site().told.clone();
    assert!(
        matches!(told[..], [Request::Refresh, Request::Change(Step::CreateBackstore { .. })]),
        "{told:?}"
    );
    settle().await;
    assert!(!reconciler.connected());
}

#[actix::test]
async fn a_stopped_agent_asks_nobody_any_more() {
    let clock = Clock::stop();
    let port = Gated::open(Sim::small_site());
    let agent = port.start(Some(Cadence { scan: 10 * TAGS, tags: TAGS }));
    until_pass(&agent, 1).await;
    clock.advance(TAGS).await;
    assert_eq!(port.count(Asked::Ims), 2);
    assert!(in_time(agent.stop(NEVER)).await);
    for _ in 0..20 {
        clock.advance(TAGS).await;
    }
    assert_eq!(port.count(Asked::Ims), 2);
}

#[actix::test]
async fn r1_a_backstore_that_another_target_has_begun_to_use_since_the_plan_is_kept() {
    let sim = Sim::small_site();
    Node::new(sim.clone()).pass().await;
    sim.site().objects.remove(&ObjectKey::new(PE));
    let theirs = sim.clone();
    let node = Node::with_hook(sim.clone(), move |step| {
        if let Request::Change(Step::DeleteLun { lun, name }) = step {
            let (tpg, plugin) = (TpgPath::new("iscsi/iqn.other/tpgt_1"), "fileio".to_owned());
            let entry = LunEntry { tpg, lun: *lun, plugin, name: name.to_string() };
            theirs.site().actual.luns.push(entry);
        }
    });
    let status = node.passes(2).await;
    assert_eq!((status.summary.removed, status.summary.failed), (0, 1));
    assert!(sim.site().actual.luns.iter().any(|lun| lun.tpg.target() == "iqn.other"));
}
