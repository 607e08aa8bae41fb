//! R4: what nodes read from is not taken away.

use crate::common::clock::Clock;
use crate::common::lio::Moment;
use crate::common::{AT_ONCE, DEADLINES, Node, deletes, policy};
use crate::{OTHER, TAGGED, rootfs};
use actors::decide::in_use::{UseRule, UsedBy};
use actors::decide::policy::Policy;
use actors::decide::removals::Hold;
use actors::decide::status::Status;
use actors::model::{Request, Step};
use actors::sim::Sim;
use std::time::Duration;

const QUIET: Duration = Duration::from_secs(900);
const MINUTE: Duration = Duration::from_secs(60);

/// The LUN of the image whose root file system this is.
fn lun_of(node: &Node, image: &str) -> u16 {
    let site = node.sim.site();
    let file = rootfs(image);
    let backstore = site.actual.backstores.iter().find(|b| b.file.ends_with(&file)).unwrap();
    site.actual.luns.iter().find(|lun| lun.name == backstore.name).unwrap().lun
}

async fn read_and_untagged(node: &Node) {
    node.pass().await;
    node.sim.read(lun_of(node, TAGGED), 5);
    node.pass().await;
    node.sim.tag(TAGGED, false);
}

/// With time in between.
async fn two_looks(node: &Node, clock: &Clock) -> Status {
    node.pass().await;
    clock.advance(Duration::from_secs(1)).await;
    node.pass().await
}

/// How long it was not used and with which code it goes all the same, of the one removal that waits for that.
async fn held(node: &Node) -> Option<(Duration, String)> {
    let plan = node.plan().await;
    let in_use = plan.held.into_iter().find_map(|held| match held.hold {
        Hold::InUse(in_use) => Some(in_use),
        _ => None,
    });
    in_use.map(|in_use| (in_use.last, in_use.code))
}

#[actix::test]
async fn r4_a_lun_that_is_read_from_stays_until_it_was_left_alone_for_the_quiet_period() {
    let clock = Clock::stop();
    let node = Node::new(Sim::small_site());
    read_and_untagged(&node).await;
    let lun = lun_of(&node, TAGGED);
    for _ in 0..30 {
        clock.advance(MINUTE).await;
        node.sim.read(lun, 1);
        let status = node.pass().await;
        assert!(!status.converged && node.is_live(&rootfs(TAGGED)), "it is held, and that is told: {status}");
    }
    assert!(held(&node).await.unwrap().0 < MINUTE);
    for _ in 0..14 {
        clock.advance(MINUTE).await;
        node.pass().await;
        assert!(node.is_live(&rootfs(TAGGED)));
    }
    clock.advance(MINUTE).await;
    assert_eq!(node.pass().await.summary.removed, 1);
    assert!(node.pass().await.converged);
}

#[actix::test]
async fn r4_a_lun_that_nobody_has_ever_read_goes_at_its_second_look() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    assert_eq!(node.passes(2).await.summary.removed, 1);
}

#[actix::test]
async fn r4_a_restart_does_not_forget_who_has_read() {
    let clock = Clock::stop();
    let sim = Sim::small_site();
    read_and_untagged(&Node::new(sim.clone())).await;
    clock.advance(QUIET / 2).await;
    let node = Node::new(sim.clone());
    two_looks(&node, &clock).await;
    assert!(node.is_live(&rootfs(TAGGED)) && held(&node).await.unwrap().0 >= QUIET / 2);
    clock.advance(QUIET / 2).await;
    let again = Node::new(sim);
    two_looks(&again, &clock).await;
    assert!(!again.is_live(&rootfs(TAGGED)), "what was quiet all the time need not be watched anew");
}

#[actix::test]
async fn r4_who_has_read_while_the_agent_was_away_or_before_it_came_is_not_known_so_it_waits() {
    let clock = Clock::stop();
    let sim = Sim::small_site();
    let node = Node::new(sim.clone());
    node.pass().await;
    node.sim.read(lun_of(&node, TAGGED), 5);
    drop(node);
    clock.advance(2 * QUIET).await;
    let node = Node::new(sim.clone());
    node.pass().await;
    sim.tag(TAGGED, false);
    two_looks(&node, &clock).await;
    assert!(node.is_live(&rootfs(TAGGED)), "it was read at some moment in between");
    // Taken over: nothing is remembered.
    sim.site().history = None;
    let node = Node::new(sim);
    clock.advance(2 * QUIET).await;
    two_looks(&node, &clock).await;
    assert!(node.is_live(&rootfs(TAGGED)) && held(&node).await.is_some());
}

#[actix::test]
async fn r4_an_operator_lets_one_lun_go_and_the_code_of_another_says_nothing_of_it() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    for image in [TAGGED, OTHER] {
        node.sim.read(lun_of(&node, image), 5);
    }
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.passes(3).await;
    let (_, code) = held(&node).await.unwrap();
    let wrong = node.pass_confirmed(Some("00000000".into())).await;
    assert!(wrong.summary.removed == 0 && node.is_live(&rootfs(TAGGED)));
    assert_eq!(node.pass_confirmed(Some(code.clone())).await.summary.removed, 1);
    assert!(node.pass().await.converged);
    node.sim.tag(OTHER, false);
    assert_eq!(node.passes(2).await.summary.removed, 0);
    let (_, other) = held(&node).await.unwrap();
    assert_ne!(code, other);
    assert_eq!(node.pass_confirmed(Some(code)).await.summary.removed, 0);
    assert!(node.is_live(&rootfs(OTHER)));
}

#[actix::test]
async fn r4_an_operators_word_is_forgotten_when_the_image_is_wanted_again() {
    let node = Node::new(Sim::small_site());
    read_and_untagged(&node).await;
    node.passes(2).await;
    let (_, code) = held(&node).await.unwrap();
    node.sim.site().faults.targetclid = true;
    node.pass_confirmed(Some(code)).await;
    node.sim.site().faults.targetclid = false;
    node.sim.tag(TAGGED, true);
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.passes(3).await;
    assert!(node.is_live(&rootfs(TAGGED)) && held(&node).await.is_some());
}

#[actix::test]
async fn r4_the_breakers_code_does_not_take_what_is_in_use() {
    let node = Node::new(Sim::small_site());
    read_and_untagged(&node).await;
    node.sim.site().images.clear();
    node.passes(2).await;
    let code = node.code().await;
    let status = node.pass_confirmed(code).await;
    assert_eq!(status.summary.removed, 3, "all root file systems but the one that is read: {status}");
    assert!(node.is_live(&rootfs(TAGGED)) && held(&node).await.is_some());
}

fn by(by: UsedBy) -> Policy {
    Policy { in_use: UseRule { by, quiet_period: QUIET }, ..policy(AT_ONCE, 10) }
}

#[actix::test]
async fn r4_attached_lets_any_command_hold_a_lun_and_off_holds_none() {
    for (rule, removed) in [(UsedBy::Reads, 1), (UsedBy::Commands, 0), (UsedBy::Nothing, 1)] {
        let node = Node::watched(Sim::small_site(), by(rule), DEADLINES, |_| {});
        node.pass().await;
        node.sim.check_path(lun_of(&node, TAGGED));
        node.pass().await;
        node.sim.tag(TAGGED, false);
        assert_eq!(node.passes(2).await.summary.removed, removed, "{rule:?}");
    }
    let node = Node::watched(Sim::small_site(), by(UsedBy::Nothing), DEADLINES, |_| {});
    read_and_untagged(&node).await;
    assert_eq!(node.passes(2).await.summary.removed, 1);
}

#[actix::test]
async fn r4_a_lun_whose_statistics_are_not_there_is_in_use() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.sim.site().faults.uncounted = true;
    node.passes(3).await;
    assert!(node.is_live(&rootfs(TAGGED)) && held(&node).await.is_some());
}

#[actix::test]
async fn r4_a_node_that_begins_to_read_after_the_plan_was_made_keeps_its_lun() {
    let sim = Sim::small_site();
    let reader = sim.clone();
    let mut lun = None;
    let node = Node::watched(sim, policy(AT_ONCE, 10), DEADLINES, move |moment| {
        // A new image comes first: while it is made, a node boots from the one that is about to go.
        if let (Moment::After(Request::Change(Step::DeleteLun { .. }), _), Some(other)) = (moment, lun.take())
        {
            reader.read(other, 5);
        }
        if lun.is_none() {
            let site = reader.site();
            let file = rootfs(OTHER);
            let named =
                site.actual.backstores.iter().find(|b| b.file.ends_with(&file)).map(|b| b.name.clone());
            lun = named
                .and_then(|name| site.actual.luns.iter().find(|lun| lun.name == name).map(|lun| lun.lun));
        }
    });
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.sim.tag(OTHER, false);
    let status = node.passes(2).await;
    assert_eq!((status.summary.removed, status.summary.failed), (1, 1), "{status}");
    assert!(node.is_live(&rootfs(OTHER)) || node.is_live(&rootfs(TAGGED)));
    node.passes(2).await;
    assert!(held(&node).await.is_some());
    let taken = node.sim.site().told.iter().filter(deletes).count();
    assert_eq!(taken, 2, "one LUN and its backstore, and nothing of the other");
}
