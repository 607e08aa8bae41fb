//! R3 over its window, and what one pass may cost.

use crate::PE;
use crate::common::clock::Clock;
use crate::common::{AT_ONCE, DEADLINES, Node, Scripted, id, policy, untag};
use actors::decide::cadence::Deadlines;
use actors::model::ObjectKey;
use actors::sim::Sim;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(3600);

fn sim() -> Sim {
    let sim = Sim::default();
    (0..12).for_each(|n| drop(sim.add_image(&id(n), true)));
    sim
}

/// The two looks at a removal, with time in between.
async fn two_looks(node: &Node, clock: &Clock) {
    node.pass().await;
    clock.advance(SECOND).await;
    node.pass().await;
}

#[actix::test]
async fn r3_what_went_counts_until_the_window_is_over_and_not_longer() {
    let clock = Clock::stop();
    let node = Node::new(sim());
    node.pass().await;
    untag(&node, 0..3);
    two_looks(&node, &clock).await;
    assert_eq!(node.luns().len(), 9);
    clock.advance(WINDOW - 10 * SECOND).await;
    untag(&node, 3..4);
    two_looks(&node, &clock).await;
    assert_eq!(
        (node.luns().len(), node.code().await.is_some()),
        (9, true),
        "three have gone within the hour"
    );
    // It is wanted again, so nothing is held any more; then it goes after all.
    node.sim.tag(&id(3), true);
    node.pass().await;
    clock.advance(20 * SECOND).await;
    untag(&node, 3..6);
    two_looks(&node, &clock).await;
    assert_eq!(node.luns().len(), 6, "the hour is over, three may go");
}

#[actix::test]
async fn r3_the_window_outlives_a_restart() {
    let clock = Clock::stop();
    let node = Node::new(sim());
    node.pass().await;
    untag(&node, 0..3);
    two_looks(&node, &clock).await;
    clock.advance(WINDOW - 10 * SECOND).await;
    let restarted = Node::new(node.sim.clone());
    untag(&restarted, 3..4);
    two_looks(&restarted, &clock).await;
    assert_eq!(restarted.luns().len(), 9);
    restarted.sim.tag(&id(3), true);
    restarted.pass().await;
    clock.advance(20 * SECOND).await;
    let again = Node::new(restarted.sim.clone());
    untag(&again, 3..4);
    two_looks(&again, &clock).await;
    assert_eq!(again.luns().len(), 8);
}

#[actix::test]
async fn r3_after_a_lost_history_removals_go_by_themselves_again_once_the_window_is_over() {
    let clock = Clock::stop();
    let sim = sim();
    Node::new(sim.clone()).pass().await;
    sim.site().history = Some(b"{".to_vec());
    let node = Node::new(sim);
    node.pass().await;
    clock.advance(WINDOW - 10 * SECOND).await;
    untag(&node, 0..1);
    two_looks(&node, &clock).await;
    assert_eq!((node.luns().len(), node.code().await.is_some()), (12, true));
    node.sim.tag(&id(0), true);
    node.pass().await;
    clock.advance(20 * SECOND).await;
    untag(&node, 0..1);
    two_looks(&node, &clock).await;
    assert_eq!((node.luns().len(), node.code().await), (11, None));
}

#[actix::test]
async fn r3_a_restart_does_not_open_a_breaker_that_a_lost_history_has_shut() {
    let clock = Clock::stop();
    let sim = sim();
    Node::new(sim.clone()).pass().await;
    sim.site().history = Some(b"{".to_vec());
    Node::new(sim.clone()).pass().await;
    clock.advance(WINDOW - 10 * SECOND).await;
    let restarted = Node::new(sim);
    untag(&restarted, 0..1);
    two_looks(&restarted, &clock).await;
    assert_eq!((restarted.luns().len(), restarted.code().await.is_some()), (12, true));
}

#[actix::test]
async fn r2_the_second_look_counts_once_its_time_is_over_and_not_before() {
    let clock = Clock::stop();
    let node = Node::with_limits(sim(), 20 * SECOND, 10);
    node.pass().await;
    untag(&node, 0..1);
    node.pass().await;
    clock.advance(19 * SECOND).await;
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    clock.advance(SECOND).await;
    assert_eq!(node.pass().await.summary.removed, 1);
}

#[actix::test]
async fn r14_files_that_are_slow_to_look_into_cost_one_budget_and_the_others_have_their_turn_next() {
    let _clock = Clock::stop();
    let sim = Sim::small_site();
    (0..20).for_each(|n| drop(sim.put_squashfs(&format!("PE/more-{n:02}.squashfs"), 4096)));
    let agent = Scripted::new(sim);
    agent.each_look_takes(25 * SECOND);
    // What takes so long is the mount, and that is no hang of LIO.
    let deadlines = Deadlines { step: WINDOW, ..DEADLINES };
    let cast = agent.start_by(policy(AT_ONCE, 10), deadlines, None);
    let status = agent.pass(&cast).await;
    assert_eq!(status.summary.unknown, ["mount:slow"]);
    // At 0, 25 and 50 s, of 60, eight at once. Before its LUN none is opened again.
    assert_eq!((status.summary.added, status.summary.unclear, agent.inspected()), (24, 2, 24));
    let status = agent.pass(&cast).await;
    assert_eq!((status.summary.added, status.summary.live, status.converged), (2, 26, true), "{status}");
}

#[actix::test]
async fn r14_objects_that_s3fs_refuses_have_their_turn_after_all_others() {
    let sim = Sim::small_site();
    // More than end the look at the files of one pass, and all before the PE images.
    for n in 0..40 {
        let key = format!("PE/0{n:02}.squashfs");
        sim.put_squashfs(&key, 4096);
        sim.site().faults.refused.insert(ObjectKey::new(key));
    }
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!(status.summary.unknown, ["mount:refused"]);
    assert!(!node.is_live(PE), "the look ended before it came to this one");
    node.pass().await;
    assert!(node.is_live(PE), "what was refused has its turn last");
}

#[actix::test]
async fn r3_a_larger_share_of_a_large_site_may_go() {
    let sim = Sim::default();
    (0..50).for_each(|n| drop(sim.add_image(&id(n), true)));
    let node = Node::new(sim);
    node.pass().await;
    untag(&node, 0..5);
    assert_eq!(node.passes(2).await.summary.removed, 5);
    untag(&node, 5..6);
    assert_eq!(node.passes(2).await.summary.removed, 0, "ten percent, and not one more");
}
