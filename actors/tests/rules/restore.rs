//! What an agent finds that was before it: a boot that restored what was saved, with the sizes of then, and the LUNs of
//! a target that was configured before.

use crate::common::Node;
use crate::{PE, TAGGED, UNTAGGED, rootfs};
use actors::decide::plan::change::Drifted;
use actors::decide::removals::Hold;
use actors::model::{ImageRef, ObjectKey, RootfsLink, Saved, TpgPath};
use actors::sim::{BUCKET, Sim, tpg};
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
        sim.put_manifest(
            TAGGED,
            RootfsLink { path: &format!("s3://{BUCKET}/{}", rootfs(TAGGED)), etag: etag.as_str() },
        );
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

/// A node that served its images as another target, until lio.iqn was changed.
async fn renamed() -> (Node, TpgPath, BTreeSet<(u16, String)>) {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let (before, old) = (node.luns(), TpgPath::new("iscsi/iqn.2020-01.site:old/tpgt_1"));
    {
        let mut site = node.sim.site();
        site.actual.luns.iter_mut().for_each(|lun| lun.tpg = old.clone());
        site.actual.saved = Saved::Readable(site.actual.inventory());
    }
    (Node::new(node.sim.clone()), old, before)
}

fn luns_of(node: &Node, tpg: &TpgPath) -> BTreeSet<(u16, String)> {
    let site = node.sim.site();
    site.actual.luns.iter().filter(|lun| lun.tpg == *tpg).map(|lun| (lun.lun, lun.name.clone())).collect()
}

#[actix::test]
async fn r1_after_a_changed_iqn_each_image_has_a_lun_in_both_targets_and_the_old_one_is_not_touched() {
    let (node, old, before) = renamed().await;
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.live, status.converged), (6, 6, true), "{status}");
    assert_eq!((luns_of(&node, &tpg()), luns_of(&node, &old)), (before.clone(), before));
}

#[actix::test]
async fn r1_a_lun_of_the_target_of_before_holds_its_image_until_an_operator_deletes_it() {
    let (node, old, _) = renamed().await;
    node.pass().await;
    node.sim.tag(TAGGED, false);
    let status = node.passes(3).await;
    assert_eq!((status.summary.held, status.converged), (1, false));
    assert_eq!(node.plan().await.held[0].hold, Hold::ForeignLun(old.clone()));
    node.sim.another_hand(|actual| {
        actual.luns.retain(|lun| lun.tpg != old);
        actual.saved = Saved::Readable(actual.inventory());
    });
    let status = node.pass().await;
    assert_eq!((status.summary.removed, status.converged, luns_of(&node, &tpg()).len()), (1, true, 5));
}

#[actix::test]
async fn m4_a_mount_of_another_bucket_under_live_luns_is_told_and_takes_nothing_down() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let before = node.luns();
    let all = node.sim.site().objects.keys().cloned().collect();
    node.sim.site().faults.hidden = all;
    node.sim.remount();
    let status = node.passes(3).await;
    assert_eq!((node.luns(), status.converged), (before.clone(), false));
    node.sim.site().faults.hidden.clear();
    let status = node.pass().await;
    assert_eq!((node.luns(), status.summary.remade, status.converged), (before, 6, true));
}

#[actix::test]
async fn r11_an_operator_who_deletes_the_luns_of_the_target_of_before_and_saves_nothing_blocks_no_save() {
    let (node, old, _) = renamed().await;
    node.pass().await;
    node.sim.another_hand(|actual| actual.luns.retain(|lun| lun.tpg != old));
    node.sim.tag(UNTAGGED, true);
    let status = node.passes(3).await;
    assert_eq!((status.summary.live, status.summary.save.kind(), status.converged), (7, "equal", true));
}
