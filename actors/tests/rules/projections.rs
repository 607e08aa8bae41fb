//! The main job, and R5 to R14: what is projected, how it is done, and what is saved.

use crate::common::Node;
use crate::removals::with_a_lost_name;
use crate::{PE, TAGGED, UNTAGGED};
use actors::model::{LunEntry, ObjectKey, Request, RootfsLink, SaveOutcome, Saved, TpgPath};
use actors::sim::{BUCKET, Sim};
use std::collections::BTreeSet;
#[actix::test]
async fn tagged_images_and_pe_images_become_luns_and_untagged_ones_do_not() {
    let node = Node::new(Sim::small_site());
    let status = node.pass().await;
    assert!(status.converged, "{status}");
    assert_eq!((status.summary.added, node.luns().len()), (6, 6));
    let site = node.sim.site();
    assert!(site.actual.backstores.iter().all(|live| live.model_alias && !live.file.contains(UNTAGGED)));
}

#[actix::test]
async fn a_steady_pass_changes_nothing_and_reads_no_object() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let before = node.traffic();
    let status = node.pass().await;
    assert!(status.converged);
    assert_eq!(node.traffic(), before);
}

#[actix::test]
async fn a_target_filled_by_the_predecessor_is_taken_over_with_zero_changes() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    {
        // The predecessor numbers from 0 up, and saves.
        let mut site = node.sim.site();
        site.actual.luns.iter_mut().enumerate().for_each(|(n, lun)| lun.lun = n as u16);
        site.actual.saved = Saved::Readable(site.actual.inventory());
        site.told.clear();
    }
    let successor = Node::new(node.sim.clone());
    let status = successor.pass().await;
    assert!(status.converged);
    assert_eq!(successor.sim.site().told, []);
    assert_eq!(successor.luns().first().map(|(number, _)| *number), Some(0));
}

#[actix::test]
async fn an_image_tagged_later_is_added_and_one_untagged_goes_after_the_second_look() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.pass().await.summary.added, 1);
    node.sim.tag(TAGGED, false);
    let first = node.pass().await;
    assert_eq!(
        (first.summary.removed, first.summary.waiting_for_second_look, first.converged),
        (0, 1, false)
    );
    let second = node.pass().await;
    assert_eq!((second.summary.removed, second.converged), (1, true));
    assert_eq!(node.luns().len(), 6);
}

#[actix::test]
async fn r5_a_rebuilt_worker_gets_the_same_numbers() {
    let first = Node::new(Sim::small_site());
    first.pass().await;
    let rebuilt = Node::new(Sim::small_site());
    rebuilt.sim.site().images.reverse();
    rebuilt.pass().await;
    assert_eq!(first.luns(), rebuilt.luns());
}

#[actix::test]
async fn r7_an_upload_that_is_not_complete_is_pending_and_is_projected_when_it_is() {
    let sim = Sim::small_site();
    sim.put("PE/half.squashfs", vec![]);
    sim.put("PE/odd.squashfs", vec![b'x'; 1001]);
    sim.put("PE/text.squashfs", vec![b'x'; 1024]);
    let node = Node::new(sim);
    node.pass().await;
    let reasons: BTreeSet<_> = Node::reasons(&node.plan().await).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(reasons, BTreeSet::from(["file_empty", "not_squashfs", "odd_size"]));
    node.sim.put_squashfs("PE/half.squashfs", 4096);
    assert_eq!(node.pass().await.summary.added, 1);
}

#[actix::test]
async fn r7_a_rootfs_whose_etag_is_not_the_manifests_is_pending() {
    let sim = Sim::small_site();
    sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/{TAGGED}/rootfs"), etag: "another" });
    let node = Node::new(sim);
    node.pass().await;
    assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), "etag_differs")]);
}

#[actix::test]
async fn r8_a_manifest_that_points_out_of_the_mount_is_pending() {
    let sim = Sim::small_site();
    let etag = sim.put_squashfs("../../etc/shadow", 4096);
    sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/../../etc/shadow"), etag: etag.as_str() },
    );
    let node = Node::new(sim);
    node.pass().await;
    assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), "key_escapes")]);
}

#[actix::test]
async fn r9_a_key_that_would_be_two_commands_is_rejected_and_hurts_nothing_else() {
    let sim = Sim::small_site();
    sim.put_squashfs("PE/x%/backstores/fileio delete y", 4096);
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.pending, status.converged), (6, 1, true));
}

#[actix::test]
async fn r10_no_lun_is_added_to_a_tpg_that_could_be_written_to() {
    let sim = Sim::small_site();
    sim.site().actual.tpg.as_mut().unwrap().write_protected = false;
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.pending), (0, 6));
    assert!(Node::reasons(&node.plan().await).iter().all(|(_, kind)| *kind == "not_write_protected"));
}

#[actix::test]
async fn r11_a_pass_that_changed_something_saves_exactly_once() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let site = node.sim.site();
    assert_eq!(site.told.iter().filter(|step| **step == Request::Save { backup: true }).count(), 1);
    assert_eq!(site.actual.saved, Saved::Readable(site.actual.inventory()));
}

#[actix::test]
async fn r11_a_save_that_would_forget_foreign_luns_is_refused() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    {
        let mut site = node.sim.site();
        let mut saved = site.actual.inventory();
        let (tpg, plugin) = (site.actual.tpg_path.clone(), "fileio".to_owned());
        saved.luns.insert(LunEntry { tpg, lun: 9, plugin, name: "lost".into() });
        site.actual.saved = Saved::Readable(saved);
        site.told.clear();
    }
    node.sim.tag(UNTAGGED, true);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind()), (1, "refused"));
    assert!(!node.sim.site().told.contains(&Request::Save { backup: true }));
}

#[actix::test]
async fn r11_where_targetclid_cannot_keep_a_backup_the_save_is_made_without_one() {
    let sim = Sim::small_site();
    sim.site().faults.backups = true;
    let node = Node::new(sim);
    assert_eq!(node.pass().await.summary.save, SaveOutcome::Written);
}

#[actix::test]
async fn r11_a_torn_saveconfig_does_not_stop_a_pass() {
    let sim = Sim::small_site();
    sim.site().actual.saved = Saved::Unreadable { why: "EOF".into(), torn: true, backup: Default::default() };
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind()), (6, "written"));
}

#[actix::test]
async fn r14_a_daemon_that_does_not_answer_is_left_alone_after_three_commands() {
    let sim = Sim::small_site();
    sim.site().faults.targetclid = true;
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, status.converged), (0, 6, false));
}

#[actix::test]
async fn a_create_that_is_answered_and_not_done_fails_its_own_image_alone() {
    let sim = Sim::small_site();
    let name = sim.add_image("77777777-0000-4000-8000-000000000000", true).name();
    sim.site().faults.ignored.insert(name.to_string());
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, status.converged), (6, 1, false));
    assert!(!node.luns().iter().any(|(_, live)| *live == name.as_str()));
}

#[actix::test]
async fn a_replaced_rootfs_makes_room_and_comes_back_under_its_new_identity_in_one_pass() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let etag = node.sim.put_squashfs(&format!("{TAGGED}/rootfs"), 8192);
    node.sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/{TAGGED}/rootfs"), etag: etag.as_str() },
    );
    let first = node.pass().await;
    assert_eq!((first.summary.added, first.summary.pending), (0, 1));
    let second = node.pass().await;
    assert_eq!((second.summary.added, second.summary.removed), (1, 1), "{second}");
}

#[actix::test]
async fn a_backstore_that_lost_its_lun_gets_it_back() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let before = node.luns();
    node.sim.site().actual.luns.pop();
    assert_eq!(node.pass().await.summary.added, 1);
    assert_eq!(node.luns(), before);
}

#[actix::test]
async fn a_manifest_may_name_an_object_outside_its_folder() {
    let sim = Sim::small_site();
    let etag = sim.put_squashfs("shared/rootfs.squashfs", 4096);
    sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/shared/rootfs.squashfs"), etag: etag.as_str() },
    );
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.pending), (6, 0));
    assert!(node.pass().await.converged);
}

#[actix::test]
async fn r5_a_lun_that_was_lost_comes_back_under_its_saved_number_and_no_new_one_takes_that() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let lost = {
        // As the predecessor numbered it, and as a boot leaves it that found the mount not there.
        let mut site = node.sim.site();
        site.actual.luns.iter_mut().enumerate().for_each(|(n, lun)| lun.lun = n as u16);
        site.actual.saved = Saved::Readable(site.actual.inventory());
        site.actual.backstores.clear();
        std::mem::take(&mut site.actual.luns)
    };
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind(), status.converged), (6, "equal", true));
    assert_eq!(node.luns(), lost.into_iter().map(|lun| (lun.lun, lun.name)).collect());
}

#[actix::test]
async fn r7_a_backstore_without_a_lun_that_was_made_for_another_size_is_made_anew_unless_somebody_uses_it() {
    const NUMBER: u16 = 7;
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let (size, name) = {
        let mut site = node.sim.site();
        site.actual.luns.clear();
        let restored = site.actual.backstores.iter_mut().find(|b| b.file.ends_with(PE)).unwrap();
        (std::mem::replace(&mut restored.size, 512), restored.name.clone())
    };
    let other = TpgPath::new("iscsi/iqn.of.others/tpgt_1");
    let lun = LunEntry { tpg: other.clone(), lun: NUMBER, plugin: "fileio".into(), name };
    node.sim.another_hand(|actual| actual.luns.push(lun));
    assert_eq!(node.pass().await.summary.added, 5);
    assert_eq!(Node::reasons(&node.plan().await), [(PE.to_owned(), "backstore_stale")]);
    node.sim.another_hand(|actual| actual.luns.retain(|lun| lun.tpg != other));
    assert_eq!(node.pass().await.summary.added, 1);
    let sizes: Vec<u64> =
        node.sim.site().actual.backstores.iter().filter(|b| b.file.ends_with(PE)).map(|b| b.size).collect();
    assert_eq!(sizes, [size]);
}

#[actix::test]
async fn r11_a_saved_projection_whose_image_cannot_be_read_is_not_forgotten() {
    let node = with_a_lost_name().await;
    {
        let mut site = node.sim.site();
        let shared = site.actual.backstores.iter().find(|b| b.file.contains("shared")).cloned().unwrap();
        site.actual.backstores.retain(|b| *b != shared);
        site.actual.luns.retain(|lun| lun.name != shared.name);
    }
    node.sim.put(&format!("{TAGGED}/manifest.json"), b"{".to_vec());
    let restarted = Node::new(node.sim.clone());
    assert_eq!(restarted.pass().await.summary.save.kind(), "refused");
}

#[actix::test]
async fn r14_a_daemon_that_does_not_answer_is_not_asked_to_save_either() {
    let sim = Sim::small_site();
    sim.site().faults.targetclid = true;
    assert_eq!(Node::new(sim).pass().await.summary.save.kind(), "untried");
}

#[actix::test]
async fn two_images_that_name_the_same_root_file_system_are_one_lun() {
    let sim = Sim::small_site();
    let site = sim.site().objects[&ObjectKey::new(format!("{TAGGED}/rootfs"))].clone();
    let other = "00000000-0000-4000-8000-000000000002";
    sim.put_manifest(
        other,
        RootfsLink { path: &format!("s3://{BUCKET}/{TAGGED}/rootfs"), etag: site.0.as_str() },
    );
    let node = Node::new(sim);
    let first = node.pass().await;
    assert_eq!((first.summary.added, first.summary.live, first.summary.pending), (5, 5, 0));
    assert_eq!(node.pass().await.summary.live, 5);
}
