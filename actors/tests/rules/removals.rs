//! R1 to R3: what is removed, and what is not.

use crate::TAGGED;
use crate::common::{Node, foreign};
use actors::decide::removals::Hold;
use actors::model::{LunEntry, RootfsLink, TpgPath};
use actors::sim::{BUCKET, MOUNT, Sim};
use std::time::Duration;

#[actix::test]
async fn r1_foreign_backstores_and_luns_stay_untouched() {
    let sim = Sim::small_site();
    sim.put("scratch.img", vec![0; 4096]);
    {
        let mut site = sim.site();
        // Under our mount, but not of our form; and elsewhere, of our form.
        site.actual.backstores.push(foreign("scratch", &format!("{MOUNT}/scratch.img")));
        let mut twin = foreign("abcdef012345678", "/srv/disk.img");
        twin.serial = "abcdef0123456789abcdef012345678".into();
        site.actual.backstores.push(twin);
        let tpg = site.actual.tpg_path.clone();
        for (lun, name) in [(3, "scratch"), (4, "abcdef012345678")] {
            let (tpg, plugin) = (tpg.clone(), "fileio".to_owned());
            site.actual.luns.push(LunEntry { tpg, lun, plugin, name: name.into() });
        }
    }
    let node = Node::new(sim);
    node.pass().await;
    node.pass().await;
    assert_eq!((node.deletions(), node.luns().len()), (0, 8));
}

#[actix::test]
async fn r1_a_lun_of_another_target_on_our_backstore_keeps_it() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    {
        let mut site = node.sim.site();
        let lun = site.actual.luns.iter().find(|lun| lun.name.len() == 15).cloned().unwrap();
        site.actual.luns.push(LunEntry { tpg: TpgPath::new("iscsi/iqn.other/tpgt_1"), ..lun });
        site.objects.clear();
        site.images.clear();
    }
    node.pass().await;
    let plan = node.plan().await;
    assert!(plan.held.iter().any(|held| matches!(held.hold, Hold::ForeignLun(_))));
}

#[actix::test]
async fn r2_nothing_is_removed_while_any_source_does_not_answer() {
    type Break = fn(&Sim);
    let breaks: [(&str, Break); 3] = [
        ("ims", |sim| sim.site().faults.ims = true),
        ("listing", |sim| sim.site().faults.listing = true),
        ("mount", |sim| sim.site().faults.mount = true),
    ];
    for (what, fail) in breaks {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        node.sim.tag(TAGGED, false);
        fail(&node.sim);
        for _ in 0..4 {
            let status = node.pass().await;
            assert!(!status.converged, "{what}");
            let plan = node.plan().await;
            assert_eq!(plan.held, [], "{what}: without evidence nothing is due, so nothing is held");
        }
        assert_eq!(node.deletions(), 0, "{what}");
    }
}

#[actix::test]
async fn r2_an_empty_answer_of_ims_is_no_answer_that_empties_the_target() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.site().images.clear();
    for _ in 0..3 {
        node.pass().await;
    }
    assert_eq!(node.deletions(), 0);
    assert!(node.code().await.is_some(), "an operator may confirm it");
}

#[actix::test]
async fn r2_a_record_without_an_id_holds_every_removal() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.sim.site().images.push(serde_json::json!({"name": "who?"}));
    node.passes(2).await;
    assert_eq!(node.deletions(), 0);
}

#[actix::test]
async fn r2_the_second_look_has_to_wait_its_time() {
    let node = Node::with_limits(Sim::small_site(), Duration::from_secs(3600), 10);
    node.pass().await;
    node.sim.tag(TAGGED, false);
    for _ in 0..3 {
        assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    }
    assert_eq!(node.deletions(), 0);
}

#[actix::test]
async fn r2_a_pass_that_could_not_see_starts_the_looks_anew() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.pass().await;
    node.sim.site().faults.ims = true;
    node.pass().await;
    node.sim.site().faults.ims = false;
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    assert_eq!(node.pass().await.summary.removed, 1);
}

#[actix::test]
async fn r2_an_image_whose_manifest_turned_bad_keeps_its_lun() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.put(&format!("{TAGGED}/manifest.json"), b"{ not json".to_vec());
    for _ in 0..3 {
        node.pass().await;
    }
    assert_eq!((node.deletions(), node.luns().len()), (0, 6));
    assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), "manifest_not_json")]);
}

#[actix::test]
async fn r2_a_pass_that_could_not_read_configfs_starts_the_looks_anew() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.pass().await;
    node.sim.site().faults.configfs = true;
    node.pass().await;
    node.sim.site().faults.configfs = false;
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    assert_eq!(node.pass().await.summary.removed, 1);
}

/// A node whose image names an object in nobody's folder, and has a manifest that has just turned bad.
pub async fn with_a_lost_name() -> Node {
    let sim = Sim::small_site();
    let etag = sim.put_squashfs("shared/rootfs.squashfs", 4096);
    sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/shared/rootfs.squashfs"), etag: etag.as_str() },
    );
    let node = Node::new(sim);
    node.pass().await;
    node
}

#[actix::test]
async fn r2_what_a_wanted_image_may_name_is_kept_by_an_agent_that_has_never_read_it() {
    let node = with_a_lost_name().await;
    node.sim.put(&format!("{TAGGED}/manifest.json"), b"{".to_vec());
    let restarted = Node::new(node.sim.clone());
    for _ in 0..3 {
        restarted.pass().await;
    }
    assert_eq!(restarted.deletions(), 0);
}

#[actix::test]
async fn r2_what_an_image_named_is_remembered_through_a_pass_without_an_answer() {
    let node = with_a_lost_name().await;
    node.sim.site().faults.ims = true;
    node.pass().await;
    node.sim.site().faults.ims = false;
    node.sim.put(&format!("{TAGGED}/manifest.json"), b"{".to_vec());
    for _ in 0..3 {
        node.pass().await;
    }
    assert_eq!(node.deletions(), 0);
}

#[actix::test]
async fn r3_a_bucket_that_has_nothing_of_ours_any_more_is_no_evidence_even_for_three_images() {
    let sim = Sim::default();
    for n in 0..3 {
        sim.put_squashfs(&format!("PE/{n}.squashfs"), 4096);
    }
    let node = Node::new(sim);
    assert_eq!(node.pass().await.summary.added, 3);
    node.sim.site().objects.clear();
    let status = node.passes(4).await;
    assert_eq!((node.luns().len(), status.summary.held, status.converged), (3, 3, false), "{status}");
    let code = node.code().await;
    assert_eq!(node.pass_confirmed(code).await.summary.removed, 3);
}
