//! R11, and what a boot finds.

use crate::common::{Node, foreign};
use crate::{PE, TAGGED, UNTAGGED, rootfs};
use actors::model::{Backstore, Inventory, LunEntry, ObjectKey, Request, Saved, TpgPath};
use actors::sim::Sim;
use std::collections::BTreeSet;
use std::time::Duration;

/// A node that the predecessor numbered from 0 up.
async fn numbered() -> (Node, BTreeSet<(u16, String)>) {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    {
        let mut site = node.sim.site();
        site.actual.luns.iter_mut().enumerate().for_each(|(n, lun)| lun.lun = n as u16);
        site.actual.saved = Saved::Readable(site.actual.inventory());
    }
    let before = node.luns();
    (node, before)
}

fn scratch(node: &Node) -> (Backstore, LunEntry) {
    let backstore = foreign("scratch", "/srv/scratch.img");
    let tpg = node.sim.site().actual.tpg_path.clone();
    let (plugin, name) = (backstore.plugin.clone(), backstore.name.clone());
    (backstore, LunEntry { tpg, lun: 77, plugin, name })
}

fn take_away(node: &Node, (backstore, lun): &(Backstore, LunEntry)) {
    let mut site = node.sim.site();
    site.actual.backstores.retain(|live| live != backstore);
    site.actual.luns.retain(|live| live != lun);
}

fn add(node: &Node, (backstore, lun): &(Backstore, LunEntry)) {
    node.sim.another_hand(|actual| {
        actual.backstores.push(backstore.clone());
        actual.luns.push(lun.clone());
    });
}

#[actix::test]
async fn r11_one_empty_answer_after_a_boot_forgets_no_saved_number() {
    let (node, before) = numbered().await;
    node.sim.reboot();
    let images = std::mem::take(&mut node.sim.site().images);
    let agent = Node::new(node.sim.clone());
    agent.passes(3).await;
    agent.sim.site().images = images;
    agent.pass().await;
    assert_eq!(agent.luns(), before);
}

#[actix::test]
async fn r11_a_wrong_bucket_after_a_boot_forgets_no_saved_number() {
    let (node, before) = numbered().await;
    node.sim.reboot();
    let objects = std::mem::take(&mut node.sim.site().objects);
    let agent = Node::new(node.sim.clone());
    let status = agent.passes(4).await;
    assert!(!status.converged && status.summary.held == 6, "the breaker holds what is only saved: {status}");
    agent.sim.site().objects = objects;
    agent.pass().await;
    assert_eq!(agent.luns(), before);
}

#[actix::test]
async fn r2_a_saved_projection_that_is_not_live_goes_by_two_looks_like_a_live_one() {
    let (node, _) = numbered().await;
    node.sim.reboot();
    node.sim.site().faults.mount = true;
    let agent = Node::new(node.sim.clone());
    agent.sim.tag(TAGGED, false);
    agent.passes(3).await;
    agent.sim.site().faults.mount = false;
    let saved = |agent: &Node| match &agent.sim.site().actual.saved {
        Saved::Readable(saved) => saved.backstores.len(),
        _ => 0,
    };
    let first = agent.pass().await;
    assert_eq!((saved(&agent), first.summary.waiting_for_second_look), (6, 1));
    agent.pass().await;
    assert_eq!(saved(&agent), 5);
}

#[actix::test]
async fn r11_nothing_is_saved_for_what_another_hand_is_only_trying() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let scratch = scratch(&node);
    add(&node, &scratch);
    let told = node.sim.site().told.len();
    assert!(node.pass().await.converged);
    assert_eq!(node.sim.site().told.len(), told, "the difference is not ours to save");
    take_away(&node, &scratch);
    node.sim.tag(UNTAGGED, true);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind()), (1, "written"));
}

#[actix::test]
async fn r11_what_another_hand_made_was_saved_with_ours_and_taken_away_again_blocks_no_save() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let scratch = scratch(&node);
    add(&node, &scratch);
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.pass().await.summary.save.kind(), "written", "theirs is saved along with ours");
    take_away(&node, &scratch);
    node.pass().await;
    node.sim.tag(UNTAGGED, false);
    let status = node.passes(2).await;
    assert_eq!((status.summary.removed, status.summary.save.kind()), (1, "written"));
}

#[actix::test]
async fn r2_r11_a_lun_of_ours_that_another_hand_deleted_stays_saved_until_its_removal_is_due() {
    let node = Node::with_limits(Sim::small_site(), Duration::from_secs(3600), 10);
    node.pass().await;
    let backstores = node.sim.site().actual.backstores.clone();
    let name = &backstores.iter().find(|b| b.file.ends_with(&rootfs(TAGGED))).unwrap().name;
    node.sim.another_hand(|actual| actual.luns.retain(|lun| lun.name != *name));
    node.sim.tag(TAGGED, false);
    node.pass().await;
    node.sim.tag(UNTAGGED, true);
    let status = node.passes(2).await;
    let Saved::Readable(saved) = node.sim.site().actual.saved.clone() else { panic!("it was saved") };
    assert!(saved.luns.iter().any(|lun| lun.name == *name), "it waits for its second look: {status}");
    assert_eq!(status.summary.save.kind(), "refused");
}

#[actix::test]
async fn r11_a_lun_of_another_target_on_what_goes_stays_saved() {
    for other in [
        LunEntry {
            tpg: TpgPath::new("iscsi/iqn.of.others/tpgt_1"),
            lun: 5,
            plugin: "fileio".into(),
            name: String::new(),
        },
        LunEntry { tpg: TpgPath::new(""), lun: 5, plugin: "block".into(), name: String::new() },
    ] {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        let name = {
            let mut site = node.sim.site();
            let file = rootfs(TAGGED);
            let ours = site.actual.backstores.iter().find(|b| b.file.ends_with(&file)).unwrap().name.clone();
            let tpg = if other.tpg.as_str().is_empty() { site.actual.tpg_path.clone() } else { other.tpg };
            if let Saved::Readable(saved) = &mut site.actual.saved {
                saved.luns.insert(LunEntry { tpg, name: ours.clone(), ..other });
            }
            ours
        };
        node.sim.tag(TAGGED, false);
        let status = node.passes(2).await;
        assert_eq!((status.summary.removed, status.summary.save.kind()), (1, "refused"), "{status}");
        let Saved::Readable(saved) = node.sim.site().actual.saved.clone() else { panic!("it was saved") };
        assert!(saved.luns.iter().any(|lun| lun.lun == 5 && lun.name == name));
    }
}

#[actix::test]
async fn r11_foreign_luns_that_are_saved_and_were_never_seen_live_are_not_forgotten() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let (backstore, lun) = scratch(&node);
    {
        let mut site = node.sim.site();
        if let Saved::Readable(saved) = &mut site.actual.saved {
            saved.backstores.insert(backstore.entry());
            saved.luns.insert(lun);
        }
    }
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.passes(3).await.summary.save.kind(), "refused");
}

#[actix::test]
async fn r11_a_save_that_would_lose_portals_or_acls_is_refused() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    if let Saved::Readable(saved) = &mut node.sim.site().actual.saved {
        // The tail of a restore: LUNs are there, portals are not yet.
        saved.others.insert("iscsi/iqn.2023-06.csm.iscsi:sim/tpgt_1/np/10.0.0.1:3260".into());
    }
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.pass().await.summary.save.kind(), "refused");
}

#[actix::test]
async fn r11_a_torn_file_is_set_aside_and_its_numbers_come_back_from_the_backup() {
    let (node, before) = numbered().await;
    node.sim.reboot();
    {
        let mut site = node.sim.site();
        let Saved::Readable(backup) = site.actual.saved.clone() else { panic!("it was saved") };
        site.actual.saved = Saved::Unreadable { why: "EOF".into(), torn: true, backup };
        site.told.clear();
    }
    let agent = Node::new(node.sim.clone());
    let status = agent.pass().await;
    assert_eq!((agent.luns(), status.summary.save.kind()), (before, "written"));
    let told = agent.sim.site().told.clone();
    let set_aside = told.iter().position(|step| *step == Request::SetAside);
    let saved = told.iter().position(|step| *step == Request::Save { backup: true });
    assert!(set_aside.is_some() && set_aside < saved, "{told:?}");
}

#[actix::test]
async fn r11_what_cannot_be_read_and_is_no_torn_file_is_never_written_over() {
    let sim = Sim::small_site();
    let why = "/etc/target/saveconfig.json is not a regular file".to_owned();
    sim.site().actual.saved = Saved::Unreadable { why, torn: false, backup: Inventory::default() };
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind(), status.converged), (6, "refused", false));
}

#[actix::test]
async fn r11_a_save_that_did_not_help_is_not_repeated_before_something_changes() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    // A half-made backstore of somebody else: targetcli cannot save while it is there.
    node.sim.another_hand(|actual| {
        let mut half = actual.backstores[0].clone();
        (half.name, half.file, half.serial, half.enabled) =
            ("half".into(), "/srv/half.img".into(), String::new(), false);
        actual.backstores.push(half);
    });
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.pass().await.summary.save.kind(), "failed");
    let saves = |node: &Node| {
        node.sim.site().told.iter().filter(|s| matches!(s, Request::Save { backup: true })).count()
    };
    let tried = saves(&node);
    assert_eq!(node.passes(3).await.summary.save.kind(), "failed");
    assert_eq!(saves(&node), tried, "each would cost one of the ten backups");
    node.sim.site().actual.backstores.retain(|b| b.enabled);
    assert_eq!(node.pass().await.summary.save.kind(), "written");
    assert!(node.is_live(PE));
}

#[actix::test]
async fn r5_m14_an_image_that_is_late_after_a_torn_file_comes_back_under_its_number_too() {
    let (node, before) = numbered().await;
    let backup = node.sim.site().actual.inventory();
    node.sim.reboot();
    let late = ObjectKey::new(PE);
    {
        let mut site = node.sim.site();
        site.actual.saved = Saved::Unreadable { why: "torn".into(), torn: true, backup };
        site.faults.stale.insert(late.clone(), 512);
    }
    let agent = Node::new(node.sim.clone());
    assert_eq!(agent.pass().await.summary.added, 5);
    assert!(matches!(agent.sim.site().actual.saved, Saved::Readable(_)), "a new file without it");
    // Nor does a restart forget it.
    let agent = Node::new(agent.sim.clone());
    agent.pass().await;
    agent.sim.site().faults.stale.clear();
    agent.pass().await;
    assert_eq!(agent.luns(), before);
    assert_eq!(agent.plan().await.history.numbers.len(), 0, "what is live again needs no memory");
}
