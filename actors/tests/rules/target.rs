//! R10, the state of the target, what is half made, and the numbers.

use crate::common::Node;
use crate::{PE, TAGGED, UNTAGGED, rootfs};
use actors::decide::plan::change::Drifted;
use actors::decide::plan::numbers::own_lun;
use actors::model::{AclMapping, BareLun, Identity, ImageRef, ObjectKey, Request, Step, TpgPath};
use actors::sim::{BUCKET, Sim, TPG, tpg};
use std::collections::{BTreeMap, BTreeSet};

async fn node() -> Node {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node
}

#[actix::test]
async fn r10_write_protection_that_is_lost_under_live_luns_is_an_error_in_every_pass() {
    let node = node().await;
    node.sim.site().actual.tpg.as_mut().unwrap().write_protected = false;
    for _ in 0..2 {
        assert!(!node.pass().await.converged);
        assert_eq!(node.findings().await, [("target_problem", "not_write_protected")]);
    }
}

#[actix::test]
async fn r10_an_acl_through_which_an_initiator_can_write_to_an_image_of_ours_is_an_error() {
    let node = node().await;
    let ours = node.sim.site().actual.luns.iter().find(|lun| lun.tpg == tpg()).unwrap().lun;
    let writable = |lun: u16| BTreeSet::from([AclMapping { initiator: "iqn.2026-11.site:n1".into(), lun }]);
    node.sim.site().actual.tpg.as_mut().unwrap().writable = writable(ours);
    assert!(!node.pass().await.converged);
    assert_eq!(node.findings().await, [("target_problem", "acl_writable")]);
    // What somebody else exports there is its own.
    let other = (0..).find(|lun| node.sim.site().actual.luns.iter().all(|l| l.lun != *lun)).unwrap();
    node.sim.site().actual.tpg.as_mut().unwrap().writable = writable(other);
    assert_eq!(node.findings().await, []);
}

#[actix::test]
async fn r10_a_node_without_a_target_has_not_converged() {
    let sim = Sim::small_site();
    sim.site().actual.tpg = None;
    let node = Node::new(sim);
    assert!(!node.pass().await.converged);
    assert_eq!(node.findings().await, [("target_problem", "target_missing")]);
}

#[actix::test]
async fn a_tpg_that_is_disabled_under_live_luns_is_an_error() {
    let node = node().await;
    node.sim.site().actual.tpg.as_mut().unwrap().enabled = false;
    assert!(!node.pass().await.converged);
    assert_eq!(node.findings().await, [("target_problem", "tpg_disabled")]);
}

#[actix::test]
async fn a_node_whose_range_of_numbers_is_full_has_not_converged() {
    let node = Node::with_numbers(Sim::small_site(), 1..=4);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.pending, status.converged), (4, 2, false));
}

#[actix::test]
async fn r5_a_rebuilt_worker_repeats_the_order_in_which_the_others_saw_the_images_come() {
    // Two PE keys whose search starts at the same number.
    let identity = |n: u32| Identity::of_pe(BUCKET, &ObjectKey::new(format!("PE/{n}")));
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    let (a, b) = (0..)
        .find_map(|n| seen.insert(own_lun(&identity(n), &(1..=16383)), n).map(|before| (before, n)))
        .unwrap();
    for order in [[a, b], [b, a]] {
        let node = Node::new(Sim::default());
        for n in order {
            node.sim.put_squashfs(&format!("PE/{n}"), 4096);
            node.pass().await;
        }
        let before = node.luns();
        let rebuilt = Node::new(Sim::default());
        rebuilt.sim.site().objects = node.sim.site().objects.clone();
        rebuilt.sim.site().modified = node.sim.site().modified.clone();
        rebuilt.pass().await;
        assert_eq!(rebuilt.luns(), before);
    }
}

#[actix::test]
async fn a_node_acl_gets_each_new_lun_and_one_that_lacks_a_lun_is_told() {
    let node = node().await;
    let acl = "iqn.2026-11.site:n1".to_owned();
    node.sim.site().actual.tpg.as_mut().unwrap().acls.insert(acl.clone(), BTreeSet::new());
    node.sim.tag(UNTAGGED, true);
    node.pass().await;
    let site = node.sim.site().clone();
    let lun = site.actual.luns.last().unwrap().lun;
    assert_eq!(site.actual.tpg.unwrap().acls[&acl], BTreeSet::from([lun]));
    let plan = node.plan().await;
    assert_eq!(plan.drifted.iter().filter(|drifted| drifted.kind == "not_mapped_to_acl").count(), 6);
}

#[actix::test]
async fn a_half_made_lun_of_ours_is_finished_before_anything_else_is_made() {
    let node = node().await;
    let before = node.luns();
    let lost = node.sim.site().actual.luns.pop().unwrap();
    node.sim.site().actual.bare_luns.insert(BareLun { folder: TPG.into(), lun: lost.lun });
    node.sim.tag(UNTAGGED, true);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, status.converged), (2, 0, true), "{status}");
    assert!(before.is_subset(&node.luns()));
}

#[actix::test]
async fn a_half_made_backstore_of_ours_is_made_anew() {
    let node = node().await;
    {
        let mut site = node.sim.site();
        let lost = site.actual.luns.pop().unwrap();
        let half = site.actual.backstores.iter_mut().find(|b| b.name == lost.name).unwrap();
        (half.enabled, half.size) = (false, 0);
        half.serial.clear();
    }
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.converged), (1, true), "{status}");
    assert!(
        node.sim
            .site()
            .told
            .iter()
            .any(|step| matches!(step, Request::Change(Step::DiscardBackstore { .. })))
    );
}

#[actix::test]
async fn r1_what_another_hand_left_half_made_is_told_and_not_touched() {
    let node = node().await;
    node.sim.another_hand(|actual| {
        actual.bare_luns.insert(BareLun { folder: TPG.into(), lun: 7 });
        let mut half = actual.backstores[0].clone();
        (half.name, half.file, half.serial, half.enabled) =
            ("half".into(), "/srv/half.img".into(), String::new(), false);
        actual.backstores.push(half);
    });
    node.sim.tag(UNTAGGED, true);
    let status = node.passes(2).await;
    assert!(!status.converged);
    assert_eq!(node.findings().await, [("half_made", "lun"), ("half_made", "backstore")]);
    let site = node.sim.site();
    assert!(site.actual.bare_luns.len() == 1 && site.actual.backstores.iter().any(|b| b.name == "half"));
}

#[actix::test]
async fn a_backstore_of_ours_whose_product_name_cannot_be_set_any_more_is_told_and_not_tried_for_ever() {
    let node = node().await;
    {
        let mut site = node.sim.site();
        let lun = site.actual.luns.iter().find(|lun| lun.name.len() == 15).unwrap().clone();
        site.actual.luns.retain(|live| *live != lun);
        let tpg = TpgPath::new("iscsi/iqn.other/tpgt_1");
        site.actual.luns.push(actors::model::LunEntry { tpg, ..lun.clone() });
        site.actual.backstores.iter_mut().filter(|b| b.name == lun.name).for_each(|b| b.model_alias = false);
    }
    let told = node.sim.site().told.len();
    let status = node.passes(2).await;
    assert_eq!((status.summary.failed, status.summary.pending), (0, 1));
    let more: Vec<Request> = node.sim.site().told.iter().skip(told).cloned().collect();
    assert!(more.iter().all(|request| *request == Request::Refresh) && more.len() <= 1, "{more:?}");
    assert_eq!(Node::reasons(&node.plan().await)[0].1, "alias_locked");
}

#[actix::test]
async fn r6_a_pe_image_that_was_replaced_is_told_even_if_its_size_is_the_same() {
    let node = node().await;
    let mut bytes = node.sim.site().objects[&actors::model::ObjectKey::new(PE)].1.clone();
    *bytes.last_mut().unwrap() = 7;
    node.sim.put(PE, bytes);
    let restarted = Node::new(node.sim.clone());
    restarted.pass().await;
    let image = ImageRef::Pe(ObjectKey::new(PE));
    assert_eq!(restarted.plan().await.drifted, [Drifted { image, kind: "content_changed" }]);
    assert!(restarted.is_live(&rootfs(TAGGED)));
}
