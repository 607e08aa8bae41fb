//! A boot that restores what is saved, with the sizes of then: what the agent makes of it.

use crate::common::Node;
use crate::{PE, TAGGED, UNTAGGED, rootfs};
use actors::decide::plan::change::Drifted;
use actors::model::{ImageRef, ObjectKey, Saved};
use actors::sim::{BUCKET, Sim};
use std::collections::BTreeSet;

/// A node that has served, been changed while it was down, and restored what was saved.
async fn booted(while_down: impl FnOnce(&Sim)) -> (Node, BTreeSet<(u16, String)>) {
    let node = Node::new(Sim::small_site());
    assert!(node.pass().await.converged);
    let before = node.luns();
    node.sim.reboot();
    assert_eq!(node.luns(), BTreeSet::new());
    while_down(&node.sim);
    node.sim.restore();
    node.sim.site().told.clear();
    (Node::new(node.sim.clone()), before)
}

fn size_of(node: &Node, file: &str) -> Option<u64> {
    node.sim.site().actual.backstores.iter().find(|b| b.file.ends_with(file)).map(|b| b.size)
}

#[actix::test]
async fn r5_a_boot_that_restores_everything_leaves_nothing_to_do() {
    let (node, before) = booted(|_| {}).await;
    let status = node.pass().await;
    assert_eq!((node.luns(), status.converged, status.summary.remade), (before, true, 0), "{status}");
    assert_eq!(node.sim.site().told, []);
}

#[actix::test]
async fn r5_what_a_boot_without_the_mount_could_not_restore_comes_back_under_its_saved_numbers() {
    let (node, before) = booted(|sim| sim.site().faults.mount = true).await;
    assert_eq!(node.luns(), BTreeSet::new());
    let status = node.pass().await;
    assert_eq!((status.summary.live, status.converged), (0, false));
    node.sim.site().faults.mount = false;
    let status = node.pass().await;
    assert_eq!((node.luns(), status.converged), (before, true), "{status}");
}

#[actix::test]
async fn r6_a_pe_image_that_was_replaced_before_a_boot_has_the_size_that_was_saved_and_is_told() {
    let (node, before) = booted(|sim| drop(sim.put_squashfs(PE, 32768))).await;
    assert_eq!(size_of(&node, PE), Some(16384), "LIO serves the first half of it");
    let status = node.passes(3).await;
    assert_eq!((node.luns(), status.summary.failed), (before, 0));
    let image = ImageRef::Pe(ObjectKey::new(PE));
    assert_eq!(node.plan().await.drifted, [Drifted { image, kind: "content_changed" }]);
}

#[actix::test]
async fn r2_a_root_file_system_that_was_replaced_before_a_boot_goes_when_its_successor_comes() {
    let (node, _) = booted(|sim| {
        let etag = sim.put_squashfs(&rootfs(TAGGED), 8192);
        sim.put_manifest(TAGGED, &format!("s3://{BUCKET}/{}", rootfs(TAGGED)), etag.as_str());
    })
    .await;
    assert_eq!(size_of(&node, &rootfs(TAGGED)), Some(4096));
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    assert!(node.is_live(&rootfs(TAGGED)), "until then it keeps the old one");
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.removed, status.converged), (1, 1, true), "{status}");
    assert_eq!(size_of(&node, &rootfs(TAGGED)), Some(8192));
}

#[actix::test]
async fn r2_r7_a_lun_that_was_restored_on_a_missing_file_goes_by_two_looks_and_its_empty_file_gets_none() {
    let (node, _) = booted(|sim| drop(sim.site().objects.remove(&ObjectKey::new(PE)))).await;
    assert_eq!(size_of(&node, PE), Some(16384), "LIO serves zeros");
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    assert!(node.is_live(PE));
    assert_eq!(node.pass().await.summary.removed, 1);
    // s3fs has uploaded what LIO made by opening it.
    let left = node.sim.site().objects.get(&ObjectKey::new(PE)).map(|(_, bytes)| bytes.len());
    assert_eq!(left, Some(0));
    let status = node.pass().await;
    assert!(!node.is_live(PE) && status.converged, "{status}");
    assert_eq!(Node::reasons(&node.plan().await), [(PE.to_owned(), "file_empty")]);
    assert!(matches!(&node.sim.site().actual.saved, Saved::Readable(saved) if saved.luns.len() == 5));
}

#[actix::test]
async fn a_missing_file_that_a_restore_has_made_keeps_no_new_image_from_being_projected() {
    let (node, _) = booted(|sim| drop(sim.site().objects.remove(&ObjectKey::new(PE)))).await;
    node.sim.tag(UNTAGGED, true);
    node.pass().await;
    assert!(node.is_live(&rootfs(UNTAGGED)));
}
