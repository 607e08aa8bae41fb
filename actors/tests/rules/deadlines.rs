//! R14: whatever hangs, each pass ends, and the next one works; and R2 over time.

use crate::common::clock::{Clock, in_time, settle};
use crate::common::lio::{Hung, Moment, hang};
use crate::common::{AT_ONCE, DEADLINES, Node, Party, Scripted, policy};
use crate::{TAGGED, rootfs};
use actors::decide::cadence::{Cadence, Deadlines};
use actors::decide::status::Status;
use actors::model::{Request, RootfsLink, Step};
use actors::reconciler::Tick;
use actors::sim::{BUCKET, Sim};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(10);

/// A node whose LIO hangs whenever such a moment comes.
fn node_that_hangs(sim: Sim, at: fn(Moment<'_>) -> bool) -> (Node, Hung) {
    let (hook, hung) = hang(at);
    let deadlines = Deadlines { step: STEP, objects: STEP, upstream: STEP };
    (Node::watched(sim, policy(AT_ONCE, 10), deadlines, hook), hung)
}

type Pass = tokio::task::JoinHandle<Result<Status, actix::MailboxError>>;

fn begin(node: &Node) -> Pass {
    actix::spawn(node.agent.reconciler.send(Tick { confirmed: None }))
}

async fn end(pass: Pass) -> Status {
    in_time(pass).await.unwrap().unwrap()
}

#[actix::test]
async fn r14_a_pass_ends_although_configfs_hangs_and_the_next_one_works() {
    let clock = Clock::stop();
    let (node, mut hung) = node_that_hangs(Sim::small_site(), |moment| matches!(moment, Moment::Observe));
    let pass = begin(&node);
    hung.begun().await;
    clock.advance(STEP - SECOND).await;
    assert!(!pass.is_finished(), "it has its time");
    clock.advance(SECOND).await;
    let status = end(pass).await;
    assert_eq!((status.summary.unknown, status.converged), (vec!["lio:hung".to_owned()], false));
    // It still hangs: the next pass waits behind it, and ends as well.
    let pass = begin(&node);
    settle().await;
    clock.advance(STEP).await;
    assert_eq!(end(pass).await.summary.unknown, ["lio:hung"]);
    hung.let_go();
    let status = in_time(node.pass()).await;
    assert_eq!((status.summary.added, status.converged), (6, true), "{status}");
}

#[actix::test]
async fn r14_a_pass_ends_although_a_step_hangs_and_the_next_one_works() {
    let clock = Clock::stop();
    let creates =
        |moment: Moment<'_>| matches!(moment, Moment::Before(Request::Change(Step::CreateBackstore { .. })));
    let (node, mut hung) = node_that_hangs(Sim::small_site(), creates);
    let pass = begin(&node);
    hung.begun().await;
    // Once a second it is looked whether something has come about: here, what was before it.
    clock.advance(SECOND).await;
    clock.advance(STEP - 2 * SECOND).await;
    assert!(!pass.is_finished(), "it has its time");
    clock.advance(2 * SECOND).await;
    let status = end(pass).await;
    assert_eq!((status.summary.unknown, status.converged), (vec!["lio:hung".to_owned()], false));
    // The step goes on in the end: the next pass finds it done.
    hung.let_go();
    let status = in_time(node.pass()).await;
    assert_eq!((status.summary.live, status.converged), (6, true), "{status}");
    let created = |step: &&Request| matches!(step, Request::Change(Step::CreateLun { .. }));
    assert_eq!(node.sim.site().told.iter().filter(created).count(), 6, "and nothing is made twice");
}

#[actix::test]
async fn r14_a_pass_of_many_steps_is_not_given_up_as_long_as_one_of_them_ends_in_time() {
    let clock = Clock::stop();
    let creates =
        |moment: Moment<'_>| matches!(moment, Moment::Before(Request::Change(Step::CreateBackstore { .. })));
    let sim = Sim::small_site();
    let (begin_step, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (permit, permitted) = std::sync::mpsc::channel::<()>();
    let deadlines = Deadlines { step: STEP, objects: STEP, upstream: STEP };
    let node = Node::watched(sim, policy(AT_ONCE, 10), deadlines, move |moment| {
        if creates(moment) {
            let _ = begin_step.send(());
            let _ = permitted.recv();
        }
    });
    let pass = begin(&node);
    for _ in 0..6 {
        in_time(begun.recv()).await.unwrap();
        clock.advance(STEP - SECOND).await;
        permit.send(()).unwrap();
    }
    let status = end(pass).await;
    assert_eq!((status.summary.added, status.converged), (6, true), "54 s, and each step took 9: {status}");
}

/// Each port has its deadline: this is what would be if one had not.
#[actix::test]
async fn r14_a_pass_that_waits_for_ever_has_no_progress_by_which_the_watchdog_would_be_fed() {
    let clock = Clock::stop();
    let agent = Scripted::new(Sim::small_site());
    let rarely = Duration::from_secs(3600);
    let without_one = Deadlines { upstream: 1000 * rarely, ..DEADLINES };
    let cadence = Cadence { scan: rarely, tags: rarely };
    let cast = agent.start_by(policy(AT_ONCE, 10), without_one, Some(cadence));
    in_time(cast.status.clone().changed()).await.unwrap();
    settle().await;
    let progress = || cast.progress.count();
    let waited = progress();
    clock.advance(rarely / 2).await;
    assert!(progress() > waited, "it waits for its next pass, and says so");
    agent.hangs(Some(Party::Ims));
    clock.advance(rarely / 2).await;
    let frozen = progress();
    for _ in 0..10 {
        clock.advance(rarely).await;
    }
    assert_eq!(progress(), frozen);
}

/// It passes again and again, this party's port panics, and then the agent has ended.
async fn ends_after_a_panic_of(party: Party, sim: Sim) {
    let agent = Scripted::new(sim);
    agent.panics(party);
    // Nobody tells it to stop: it is kept until it has ended.
    let cast = agent.start(Some(OFTEN), AT_ONCE);
    let mut status = cast.status.clone();
    in_time(async { while status.changed().await.is_ok() {} }).await;
    assert!(!cast.reconciler.connected(), "{party:?}");
}

/// Passes follow each other as soon as they can.
const OFTEN: Cadence = Cadence { scan: Duration::from_millis(1), tags: Duration::from_secs(3600) };

#[actix::test]
async fn r14_an_agent_whose_lio_actor_has_died_ends() {
    ends_after_a_panic_of(Party::Lio, Sim::small_site()).await;
}

#[actix::test]
async fn r14_an_agent_that_does_not_hear_of_the_mount_any_more_ends() {
    ends_after_a_panic_of(Party::Mount, Sim::small_site()).await;
}

#[actix::test]
async fn r14_an_agent_whose_s3_actor_has_died_of_an_object_that_it_read_ends() {
    let sim = Sim::small_site();
    // Its ETag is not its manifest's: it is read in the background.
    let (path, md5) = (format!("s3://{BUCKET}/{}", rootfs(TAGGED)), "0".repeat(32));
    sim.put_manifest_with_md5(TAGGED, RootfsLink { path: &path, etag: "another" }, &md5);
    ends_after_a_panic_of(Party::Md5, sim).await;
}

#[actix::test]
async fn r14_a_question_to_ims_or_s3_that_panics_is_unknown_and_the_next_pass_asks_again() {
    for (party, unknown) in [(Party::Ims, "ims:actor_gone"), (Party::S3, "s3:actor_gone")] {
        let agent = Scripted::new(Sim::small_site());
        let cast = agent.start(None, AT_ONCE);
        agent.panics(party);
        assert_eq!(in_time(agent.pass(&cast)).await.summary.unknown, [unknown]);
        agent.panics_no_more();
        assert!(in_time(agent.pass(&cast)).await.converged, "{party:?}");
    }
}

#[actix::test]
async fn r14_a_pass_waits_no_longer_for_ims_and_s3_than_it_has_for_both() {
    let clock = Clock::stop();
    // S3 is asked after IMS: it has what that has left.
    for (party, unknown) in [(Party::Ims, &["ims:timeout", "s3:timeout"][..]), (Party::S3, &["s3:timeout"])] {
        let agent = Scripted::new(Sim::small_site());
        let deadlines = Deadlines { upstream: 10 * SECOND, ..DEADLINES };
        let cast = agent.start_by(policy(AT_ONCE, 10), deadlines, None);
        agent.hangs(Some(party));
        let pass = actix::spawn(cast.reconciler.send(Tick { confirmed: None }));
        settle().await;
        clock.advance(9 * SECOND).await;
        assert!(!pass.is_finished(), "it has its time");
        clock.advance(SECOND).await;
        let status = end(pass).await;
        assert!(status.summary.unknown == unknown && status.summary.removed == 0, "{status}");
        agent.hangs(None);
        assert!(in_time(agent.pass(&cast)).await.converged, "the next pass works");
    }
}

/// Two replicas of IMS, one of them behind: polls of the tags meet the one, passes the other.
#[actix::test]
async fn r2_a_poll_that_sees_an_image_tagged_between_two_passes_starts_its_two_looks_anew() {
    let clock = Clock::stop();
    let sim = Sim::small_site();
    let agent = Scripted::new(sim.clone());
    let tags = 5 * SECOND;
    let cast = agent.start(Some(Cadence { scan: 3600 * SECOND, tags }), 20 * SECOND);
    let mut status = cast.status.clone();
    in_time(status.wait_for(|status| status.scan_id == 1)).await.unwrap();
    let behind = || Scripted::ims_without(&sim, TAGGED);
    // One poll that is behind, and the pass that it brings; then polls that see it, and passes that do not.
    agent.ims_answers([behind(), behind()]);
    for pass in 2..15 {
        clock.advance(tags).await;
        in_time(status.wait_for(|status| status.scan_id == pass)).await.unwrap();
        assert_eq!(agent.deletions(), 0, "pass {pass}: it was seen tagged a moment before");
        assert_eq!(status.borrow().summary.waiting_for_second_look, 1);
        agent.ims_answers([None, behind()]);
    }
    // It is gone for all of them now: nothing is seen wanted between the two looks.
    agent.ims_answers([None]);
    sim.site().images.retain(|image| image["id"] != TAGGED);
    clock.advance(20 * SECOND).await;
    in_time(status.wait_for(|status| status.summary.removed == 1)).await.unwrap();
}

#[actix::test]
async fn s3_an_agent_that_waits_for_its_next_pass_makes_progress_all_the_same() {
    let clock = Clock::stop();
    let hour = 3600 * SECOND;
    let agent = Scripted::new(Sim::small_site()).start(Some(Cadence { scan: hour, tags: hour }), AT_ONCE);
    let mut status = agent.status.clone();
    in_time(status.wait_for(|status| status.scan_id == 1)).await.unwrap();
    settle().await;
    let before = agent.progress.count();
    clock.advance(15 * SECOND).await;
    assert!(agent.progress.count() > before);
}
