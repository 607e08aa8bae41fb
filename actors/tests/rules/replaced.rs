//! R6: content is never swapped silently.

use crate::PE;
use crate::common::clock::Clock;
use crate::common::{AT_ONCE, DEADLINES, Node, deletes, policy};
use actors::decide::policy::{OnChange, PeRules, Policy};
use actors::decide::removals::Hold;
use actors::decide::withdrawal::Withdrawal;
use actors::sim::Sim;
use std::time::Duration;

/// Bytes of the PE image, and of another one.
const SIZE: usize = 16384;
const OTHER_SIZE: usize = 20480;

fn node_of(sim: Sim, on_change: OnChange) -> Node {
    let policy = policy(AT_ONCE, 10);
    Node::watched(sim, Policy { pe: PeRules { on_change, ..policy.pe }, ..policy }, DEADLINES, |_| {})
}

/// Another image of so many bytes is uploaded under the same key.
fn upload(node: &Node, size: usize) {
    let mut bytes = vec![7; size];
    bytes[..4].copy_from_slice(b"hsqs");
    bytes[40..48].copy_from_slice(&(size as u64).to_le_bytes());
    node.sim.put(PE, bytes);
}

fn lun(node: &Node) -> Option<(u16, u64)> {
    let site = node.sim.site();
    let backstore = site.actual.backstores.iter().find(|b| b.file.ends_with(PE))?;
    let lun = site.actual.luns.iter().find(|lun| lun.name == backstore.name)?;
    Some((lun.lun, backstore.size))
}

#[actix::test]
async fn r6_a_replaced_pe_image_is_held_by_default_and_goes_by_an_operators_word() {
    for size in [SIZE, OTHER_SIZE] {
        let node = node_of(Sim::small_site(), OnChange::Hold);
        node.pass().await;
        let before = lun(&node).unwrap();
        upload(&node, size);
        node.passes(4).await;
        assert_eq!((lun(&node), node.deletions()), (Some(before), 0));
        let plan = node.plan().await;
        assert!(
            plan.held
                .iter()
                .any(|held| held.removal.why == Withdrawal::Replaced && held.hold == Hold::Breaker)
        );
        assert!(plan.drifted.iter().any(|drifted| drifted.kind == "content_changed"), "with its remedy");
        let status = node.pass_confirmed(node.code().await).await;
        assert_eq!((status.summary.removed, lun(&node)), (1, None), "first it is gone");
        assert_eq!(node.pass().await.summary.added, 1);
        assert_eq!(lun(&node), Some((before.0, size as u64)), "then it is there, under its number");
        assert!(node.pass().await.converged);
    }
}

#[actix::test]
async fn r6_a_replaced_pe_image_is_withdrawn_and_made_anew_if_the_site_says_so() {
    for size in [SIZE, OTHER_SIZE] {
        let node = node_of(Sim::small_site(), OnChange::Replace);
        node.pass().await;
        let before = lun(&node).unwrap();
        upload(&node, size);
        node.pass().await;
        assert_eq!(lun(&node), Some(before), "R2: one look is no evidence");
        let status = node.pass().await;
        assert_eq!(
            (status.summary.removed, status.summary.pending_for_now),
            (1, 1),
            "it comes back soon: {status}"
        );
        node.pass().await;
        assert_eq!(lun(&node), Some((before.0, size as u64)));
        assert!(node.pass().await.converged);
    }
}

#[actix::test]
async fn r4_r6_a_replaced_pe_image_stays_while_nodes_read_from_it() {
    let clock = Clock::stop();
    let node = node_of(Sim::small_site(), OnChange::Replace);
    node.pass().await;
    let (number, size) = lun(&node).unwrap();
    node.sim.read(number, 5);
    upload(&node, OTHER_SIZE);
    node.pass().await;
    clock.advance(Duration::from_secs(1)).await;
    node.pass().await;
    assert_eq!(lun(&node), Some((number, size)));
    clock.advance(Duration::from_secs(900)).await;
    node.passes(2).await;
    assert_eq!(lun(&node), Some((number, OTHER_SIZE as u64)));
}

#[actix::test]
async fn r6_what_was_taken_over_is_compared_with_the_first_look_at_it_and_a_restart_does_not_forget() {
    let sim = Sim::small_site();
    node_of(sim.clone(), OnChange::Hold).pass().await;
    sim.site().history = None;
    let node = node_of(sim.clone(), OnChange::Hold);
    node.pass().await;
    upload(&node, SIZE);
    drop(node);
    let node = node_of(sim, OnChange::Hold);
    node.passes(2).await;
    assert!(node.plan().await.held.iter().any(|held| held.removal.why == Withdrawal::Replaced));
}

#[actix::test]
async fn r6_a_pe_image_that_was_replaced_while_it_was_only_saved_does_not_come_back_silently() {
    let sim = Sim::small_site();
    let node = node_of(sim.clone(), OnChange::Hold);
    node.pass().await;
    let (number, _) = lun(&node).unwrap();
    sim.reboot();
    upload(&node, SIZE);
    let node = node_of(sim, OnChange::Hold);
    node.passes(3).await;
    assert_eq!(lun(&node), None);
    assert!(Node::reasons(&node.plan().await).contains(&(PE.to_owned(), "replaced_while_gone")));
    node.pass_confirmed(node.code().await).await;
    node.passes(2).await;
    assert_eq!(lun(&node).unwrap().0, number);
}

#[actix::test]
async fn r6_an_image_that_is_uploaded_again_with_the_same_content_is_no_other_one() {
    let node = node_of(Sim::small_site(), OnChange::Replace);
    node.pass().await;
    let bytes = node.sim.site().objects[&actors::model::ObjectKey::new(PE)].1.clone();
    node.sim.put(PE, bytes);
    assert!(node.passes(3).await.converged);
    assert_eq!(node.sim.site().told.iter().filter(deletes).count(), 0);
}
