//! R2: a superseded projection goes only for another one.

use crate::common::{Node, foreign};
use crate::{TAGGED, rootfs};
use actors::model::{ObjectKey, Request, RootfsLink, Step};
use actors::sim::{BUCKET, Sim};

const OLD: &str = "builds/old";
const NEW: &str = "builds/new";

/// A live image whose manifest names `OLD`, and by now `NEW`.
async fn superseded() -> Node {
    let sim = Sim::small_site();
    name(&sim, OLD);
    let node = Node::new(sim);
    assert!(node.pass().await.converged && node.is_live(OLD));
    name(&node.sim, NEW);
    node
}

/// Uploads the object, and a manifest that names it.
fn name(sim: &Sim, key: &str) {
    let etag = sim.put_squashfs(key, 4096);
    sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() });
}

#[actix::test]
async fn r2_a_successor_is_a_lun_before_what_it_supersedes_goes() {
    let node = superseded().await;
    let (old, told) = (node.luns(), node.sim.site().told.len());
    let status = node.passes(2).await;
    assert!(status.converged && node.is_live(NEW) && !node.is_live(OLD), "{status}");
    let site = node.sim.site();
    let at = |wanted: fn(&Request) -> bool| site.told[told..].iter().position(wanted).unwrap();
    assert!(
        at(|step| matches!(step, Request::Change(Step::CreateLun { .. })))
            < at(|step| matches!(step, Request::Change(Step::DeleteLun { .. })))
    );
    drop(site);
    assert_eq!(old.difference(&node.luns()).count(), 1);
}

#[actix::test]
async fn r2_a_successor_that_comes_late_is_made_first_and_what_it_supersedes_goes_in_the_same_pass() {
    let node = superseded().await;
    let new = node.plan().await.changes[0].identity.name();
    node.sim.site().faults.ignored.insert(new.to_string());
    node.passes(3).await;
    assert!(node.is_live(OLD) && !node.is_live(NEW));
    node.sim.site().faults.ignored.clear();
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.removed, status.converged), (1, 1, true), "{status}");
}

#[actix::test]
async fn r2_r10_nothing_is_superseded_while_no_lun_may_be_added() {
    let node = superseded().await;
    node.sim.site().actual.tpg.as_mut().unwrap().write_protected = false;
    let status = node.passes(4).await;
    assert!(node.is_live(OLD) && !status.converged, "{status}");
    assert_eq!(node.plan().await.held[0].hold.kind(), "successor");
}

#[actix::test]
async fn r2_nothing_is_superseded_by_what_another_backstore_has_open() {
    let node = superseded().await;
    let file = format!("{}/{NEW}", actors::sim::MOUNT);
    node.sim.another_hand(|actual| actual.backstores.push(foreign("theirs", &file)));
    node.passes(4).await;
    assert!(node.is_live(OLD));
}

#[actix::test]
async fn r2_nothing_is_superseded_while_targetcli_can_create_nothing() {
    let node = superseded().await;
    node.sim.site().faults.sandboxed = true;
    // It stats every backstore's file, also those of others.
    let missing = ObjectKey::new("theirs/gone");
    let file = format!("{}/{missing}", actors::sim::MOUNT);
    node.sim.another_hand(|actual| actual.backstores.push(foreign("theirs", &file)));
    let status = node.passes(4).await;
    assert!(node.is_live(OLD) && !status.converged, "{status}");
    node.sim.another_hand(|actual| actual.backstores.retain(|b| b.name != "theirs"));
    node.passes(2).await;
    assert!(node.is_live(NEW) && !node.is_live(OLD));
}

#[actix::test]
async fn r2_r5_nothing_is_superseded_while_no_number_is_free() {
    let sim = Sim::small_site();
    name(&sim, OLD);
    let node = Node::with_numbers(sim, 1..=6);
    node.pass().await;
    assert!(node.is_live(OLD));
    let before = node.luns();
    name(&node.sim, NEW);
    node.passes(4).await;
    assert!(node.is_live(OLD));
    assert_eq!(node.luns(), before);
}

#[actix::test]
async fn r2_a_root_file_system_replaced_in_place_is_not_taken_down_when_a_create_has_just_failed() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    // Something else cannot be made in the pass that would swap it.
    node.sim.put_squashfs("PE/new.squashfs", 4096);
    let new = actors::model::Identity::of_pe(BUCKET, &ObjectKey::new("PE/new.squashfs"));
    node.sim.site().faults.ignored.insert(new.name().to_string());
    let key = rootfs(TAGGED);
    let etag = node.sim.put_squashfs(&key, 8192);
    node.sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() });
    for pass in 0..4 {
        node.pass().await;
        assert_eq!((node.is_live(&key), node.deletions()), (true, 0), "after pass {pass}");
    }
    node.sim.site().faults.ignored.clear();
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.removed, status.converged), (2, 1, true), "{status}");
}
