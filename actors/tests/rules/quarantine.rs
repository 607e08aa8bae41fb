//! R5: a freed number is not given to another image for a while.

use crate::common::clock::Clock;
use crate::common::{AT_ONCE, DEADLINES, Node, id, policy, untag};
use actors::decide::policy::Policy;
use actors::model::Identity;
use actors::sim::Sim;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn node_of(sim: Sim, luns: RangeInclusive<u16>) -> Node {
    Node::watched(sim, Policy { luns, ..policy(AT_ONCE, 100) }, DEADLINES, |_| {})
}

/// A site of so many images.
fn sim(images: usize) -> (Sim, Vec<Identity>) {
    let sim = Sim::default();
    let identities = (0..images).map(|n| sim.add_image(&id(n), true)).collect();
    (sim, identities)
}

fn numbers(node: &Node) -> BTreeMap<String, u16> {
    node.sim.site().actual.luns.iter().map(|lun| (lun.name.clone(), lun.lun)).collect()
}

async fn withdrawn(node: &Node, clock: &Clock, images: std::ops::Range<usize>) {
    untag(node, images);
    node.pass().await;
    clock.advance(Duration::from_secs(1)).await;
    node.pass().await;
}

#[actix::test]
async fn r5_a_freed_number_goes_to_no_other_image_for_a_day() {
    let clock = Clock::stop();
    let (sim, images) = sim(3);
    let node = node_of(sim.clone(), 1..=3);
    node.pass().await;
    let before = numbers(&node);
    withdrawn(&node, &clock, 0..1).await;
    let freed = before[images[0].name_str()];
    // Four numbers by now, so that there is another one.
    let node = node_of(sim.clone(), 1..=4);
    let late = sim.add_image(&id(9), true);
    node.pass().await;
    assert_eq!(numbers(&node)[late.name_str()], 4, "the freed one is {freed}");
    withdrawn(&node, &clock, 9..10).await;
    clock.advance(DAY).await;
    let node = node_of(sim.clone(), 1..=3);
    let later = sim.add_image(&id(10), true);
    node.pass().await;
    assert_eq!(numbers(&node)[later.name_str()], freed, "the day is over");
}

#[actix::test]
async fn r5_the_same_image_gets_its_number_back_at_once() {
    let clock = Clock::stop();
    let (sim, images) = sim(200);
    let node = node_of(sim, 1..=200);
    node.pass().await;
    let before = numbers(&node);
    withdrawn(&node, &clock, 0..50).await;
    assert_eq!(numbers(&node).len(), 150);
    (0..50).for_each(|n| node.sim.tag(&id(n), true));
    node.pass().await;
    assert_eq!(numbers(&node), before, "of {} images", images.len());
}

#[actix::test]
async fn r5_in_a_full_range_the_number_that_was_freed_first_is_given_and_that_is_told() {
    let clock = Clock::stop();
    let (sim, images) = sim(4);
    let node = node_of(sim.clone(), 1..=4);
    node.pass().await;
    let before = numbers(&node);
    for n in [2, 0, 3] {
        withdrawn(&node, &clock, n..n + 1).await;
        clock.advance(Duration::from_secs(60)).await;
    }
    for (late, was) in [(10, 2), (11, 0)] {
        let identity = sim.add_image(&id(late), true);
        let plan = node.plan().await;
        let reused = plan.changes[0].reused.as_ref().map(|freed| &freed.identity);
        assert_eq!(reused, Some(&images[was]));
        node.pass().await;
        assert_eq!(numbers(&node)[identity.name_str()], before[images[was].name_str()]);
    }
}

#[actix::test]
async fn r5_a_number_that_others_have_freed_is_in_quarantine_too_and_a_restart_or_a_boot_does_not_end_it() {
    let (sim, images) = sim(3);
    let node = node_of(sim.clone(), 1..=8);
    node.pass().await;
    let freed = numbers(&node)[images[0].name_str()];
    sim.tag(&id(0), false);
    sim.another_hand(|actual| {
        actual.luns.retain(|lun| !lun.leads_to(images[0].name_str()));
        actual.backstores.retain(|b| !b.is_fileio(images[0].name_str()));
    });
    node.passes(3).await;
    sim.reboot();
    sim.restore();
    let node = node_of(sim.clone(), 1..=8);
    (20..25).for_each(|n| drop(sim.add_image(&id(n), true)));
    node.pass().await;
    assert_eq!(numbers(&node).len(), 7);
    assert!(!numbers(&node).values().any(|number| *number == freed));
}

#[actix::test]
async fn r5_without_a_quarantine_a_freed_number_is_free() {
    let clock = Clock::stop();
    let (sim, _) = sim(3);
    let policy = Policy { luns: 1..=3, quarantine: Duration::ZERO, ..policy(AT_ONCE, 100) };
    let node = Node::watched(sim, policy, DEADLINES, |_| {});
    node.pass().await;
    withdrawn(&node, &clock, 0..1).await;
    node.sim.add_image(&id(9), true);
    let plan = node.plan().await;
    assert_eq!((plan.changes.len(), &plan.changes[0].reused), (1, &None));
}
