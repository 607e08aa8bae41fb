//! R8 and "live means readable": what is live is looked at in every pass.

use crate::common::{AT_ONCE, Node, Scripted, deletes};
use crate::{OTHER, PE, TAGGED, UNTAGGED, rootfs};
use actors::model::{Identity, ObjectKey, Request, Step};
use actors::sim::{BUCKET, Sim};

async fn node() -> Node {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node
}

#[actix::test]
async fn r8_a_live_lun_whose_file_has_become_a_symlink_is_an_error_and_goes_only_by_an_operators_word() {
    let node = node().await;
    node.sim.site().faults.symlinks.insert(ObjectKey::new(PE));
    // Taken over like this, too.
    let agent = Node::new(node.sim.clone());
    let status = agent.passes(4).await;
    assert!(agent.is_live(PE) && !status.converged);
    assert_eq!(agent.findings().await, [("export_escapes", "escapes")]);
    let code = agent.code().await;
    assert_eq!(agent.pass_confirmed(code).await.summary.removed, 1);
    assert!(!agent.is_live(PE));
    assert_eq!(Node::reasons(&agent.plan().await), [(PE.to_owned(), "file_escapes")]);
}

#[actix::test]
async fn r10_a_dead_lun_is_not_taken_down_while_it_could_not_come_back() {
    let node = node().await;
    node.sim.remount();
    let told = node.sim.site().told.len();
    node.sim.site().actual.tpg.as_mut().unwrap().write_protected = false;
    let status = node.passes(2).await;
    assert_eq!((status.summary.remade, status.summary.live), (0, 6), "{status}");
    let deleted = node.sim.site().told[told..].iter().filter(deletes).count();
    assert_eq!(deleted, 0);
    node.sim.site().actual.tpg.as_mut().unwrap().write_protected = true;
    assert_eq!(node.pass().await.summary.remade, 6);
}

#[actix::test]
async fn r8_a_file_that_is_swapped_between_its_look_and_its_lun_gets_no_lun() {
    let sim = Sim::small_site();
    let node = Node::with_hook(sim.clone(), move |step| {
        if let Request::Change(Step::CreateBackstore { file, .. }) = step
            && file.as_str().ends_with(PE)
        {
            sim.site().faults.symlinks.insert(ObjectKey::new(PE));
        }
    });
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed), (5, 1));
    assert!(!node.is_live(PE));
    let site = node.sim.site();
    assert!(!site.actual.backstores.iter().any(|b| b.file.ends_with(PE)), "and no backstore stays behind");
}

#[actix::test]
async fn r7_what_lio_has_open_is_not_opened_beside_it() {
    let sim = Sim::small_site();
    let agent = Scripted::new(sim.clone());
    let cast = agent.start(None, AT_ONCE);
    agent.pass(&cast).await;
    let opened = agent.inspected();
    sim.another_hand(|actual| actual.luns.clear());
    assert_eq!(agent.pass(&cast).await.summary.added, 6);
    assert_eq!(agent.inspected(), opened, "the backstores were still there");
}

#[actix::test]
async fn luns_whose_mount_is_gone_are_made_anew_one_by_one_under_their_numbers() {
    let node = node().await;
    let before = node.luns();
    node.sim.remount();
    assert_eq!(node.sim.dead().len(), 6);
    let told = node.sim.site().told.len();
    let status = node.pass().await;
    assert_eq!((status.summary.remade, status.converged), (6, true), "{status}");
    assert_eq!((node.sim.dead().len(), node.luns()), (0, before));
    // Never two away at once.
    let mut away = 0_i32;
    for step in &node.sim.site().told[told..] {
        match step {
            Request::Change(Step::DeleteLun { .. }) => away += 1,
            Request::Change(Step::CreateLun { .. }) => away -= 1,
            _ => {}
        }
        assert!((0..=1).contains(&away), "{away} LUNs are away at once");
    }
    assert_eq!(node.pass().await.summary.remade, 0);
}

#[actix::test]
async fn luns_whose_mount_is_gone_are_known_after_a_restart_and_wait_while_the_new_mount_is_not_sound() {
    let node = node().await;
    node.sim.site().faults.mount = true;
    node.sim.remount();
    let restarted = Node::new(node.sim.clone());
    assert_eq!(restarted.passes(2).await.summary.remade, 0);
    assert_eq!(restarted.deletions(), 0);
    restarted.sim.site().faults.mount = false;
    assert_eq!(restarted.pass().await.summary.remade, 6);
}

#[actix::test]
async fn r6_a_dead_lun_whose_file_cannot_be_read_or_was_replaced_is_told_and_not_touched() {
    let node = node().await;
    node.sim.remount();
    node.sim.site().faults.stale.insert(ObjectKey::new(rootfs(TAGGED)), 512);
    let mut bytes = node.sim.site().objects[&ObjectKey::new(PE)].1.clone();
    *bytes.last_mut().unwrap() = 7;
    node.sim.put(PE, bytes);
    let status = node.pass().await;
    assert_eq!((status.summary.remade, status.converged), (4, false));
    assert!(node.is_live(PE) && node.is_live(&rootfs(TAGGED)));
    assert_eq!(node.findings().await, [("lun_dead", "mount_gone")]);
}

#[actix::test]
async fn a_remake_that_fails_half_way_is_finished_by_the_next_pass_and_no_other_lun_is_taken_down_meanwhile()
{
    let node = node().await;
    let before = node.luns();
    node.sim.remount();
    let first = node.plan().await.changes[0].identity.name();
    node.sim.site().faults.ignored.insert(first.to_string());
    let status = node.pass().await;
    assert_eq!((status.summary.remade, node.luns().len()), (0, 5));
    node.sim.site().faults.ignored.clear();
    node.passes(2).await;
    assert_eq!((node.sim.dead().len(), node.luns()), (0, before));
}

#[actix::test]
async fn a_create_that_a_missing_file_of_another_backstore_prevents_is_told_as_that() {
    let node = node().await;
    node.sim.site().faults.sandboxed = true;
    for id in [TAGGED, OTHER, "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000003"]
    {
        let mut site = node.sim.site();
        site.images.retain(|image| image["id"] != id);
        site.objects.retain(|key, _| key.folder() != id);
    }
    node.sim.tag(UNTAGGED, true);
    let status = node.passes(3).await;
    assert!(!node.is_live(&rootfs(UNTAGGED)) && !status.converged, "four removals wait for an operator");
    let plan = node.plan().await;
    let blocked =
        plan.findings.iter().find(|finding| finding.condition.event() == "creates_blocked").unwrap();
    assert!(blocked.detail.contains(&rootfs(TAGGED)), "{}", blocked.detail);
    let code = node.code().await;
    node.pass_confirmed(code).await;
    assert!(node.is_live(&rootfs(UNTAGGED)));
}

#[actix::test]
async fn two_deleted_images_do_not_keep_a_new_one_from_being_projected() {
    let node = node().await;
    for id in [TAGGED, OTHER] {
        let mut site = node.sim.site();
        site.images.retain(|image| image["id"] != id);
        site.objects.retain(|key, _| key.folder() != id);
    }
    node.sim.tag(UNTAGGED, true);
    node.passes(2).await;
    assert!(node.is_live(&rootfs(UNTAGGED)));
}

#[actix::test]
async fn one_image_that_cannot_be_made_keeps_no_dead_lun_from_coming_back() {
    let node = node().await;
    let before = node.luns();
    node.sim.put_squashfs("PE/never.squashfs", 4096);
    let never = Identity::of_pe(BUCKET, &ObjectKey::new("PE/never.squashfs"));
    node.sim.site().faults.ignored.insert(never.name().to_string());
    node.sim.remount();
    let status = node.passes(2).await;
    assert_eq!((node.sim.dead().len(), status.summary.failed), (0, 1), "{status}");
    assert_eq!(node.luns(), before);
}
