//! R2: on what evidence a projection goes, and what is none.

use crate::common::{AT_ONCE, Node, Scripted};
use crate::{OTHER, PE, TAGGED, UNTAGGED, rootfs};
use actors::model::{ObjectKey, RootfsLink};
use actors::sim::{BUCKET, Sim};
use serde_json::json;

async fn node() -> Node {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node
}

/// Both images name the root file system of the first one.
fn shared() -> Sim {
    let sim = Sim::small_site();
    let etag = sim.site().objects[&ObjectKey::new(rootfs(TAGGED))].0.clone();
    sim.put_manifest(
        OTHER,
        RootfsLink { path: &format!("s3://{BUCKET}/{TAGGED}/rootfs"), etag: etag.as_str() },
    );
    sim
}

#[actix::test]
async fn r2_a_manifest_that_names_a_wrong_etag_costs_a_tagged_image_nothing() {
    let node = node().await;
    node.sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/{TAGGED}/rootfs"), etag: "0123456789abcdef" },
    );
    node.passes(4).await;
    assert!(node.is_live(&rootfs(TAGGED)));
}

#[actix::test]
async fn r2_a_manifest_that_names_what_cannot_be_projected_yet_costs_a_tagged_image_nothing() {
    for key in ["../../etc/shadow", "a b/rootfs", "not/there/yet", "x%/y"] {
        let node = node().await;
        node.sim.put_manifest(
            TAGGED,
            RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: "0123456789abcdef" },
        );
        node.passes(4).await;
        assert!(node.is_live(&rootfs(TAGGED)), "{key}");
    }
}

#[actix::test]
async fn r2_a_replaced_root_file_system_keeps_its_old_lun_until_s3fs_shows_the_new_one() {
    let node = node().await;
    let key = ObjectKey::new(rootfs(TAGGED));
    node.sim.site().faults.stale.insert(key.clone(), 4096);
    let etag = node.sim.put_squashfs(key.as_str(), 8192);
    node.sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() });
    for pass in 0..4 {
        node.pass().await;
        assert!(node.is_live(key.as_str()), "after pass {pass} the image has no LUN at all");
    }
    node.sim.site().faults.stale.clear();
    let status = node.passes(2).await;
    assert_eq!((status.summary.added, status.summary.removed), (1, 1), "both in one pass");
    assert!(node.is_live(key.as_str()));
}

#[actix::test]
async fn r2_what_an_image_named_before_its_successor_was_there_is_kept_although_the_manifest_names_another() {
    let sim = Sim::small_site();
    let etag = sim.put_squashfs("shared/old", 4096);
    sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/shared/old"), etag: etag.as_str() });
    let node = Node::new(sim);
    node.pass().await;
    node.sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/shared/new"), etag: "not-there-yet" },
    );
    node.passes(4).await;
    assert!(node.is_live("shared/old"));
    let etag = node.sim.put_squashfs("shared/new", 4096);
    node.sim
        .put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/shared/new"), etag: etag.as_str() });
    node.passes(3).await;
    assert!(!node.is_live("shared/old") && node.is_live("shared/new"));
}

#[actix::test]
async fn r2_a_complete_listing_that_leaves_one_key_out_removes_nothing() {
    let node = node().await;
    node.sim.site().faults.unlisted.insert(ObjectKey::new(rootfs(TAGGED)));
    let status = node.passes(4).await;
    assert!(node.is_live(&rootfs(TAGGED)));
    assert_eq!(status.summary.unknown, ["s3:short_listing"]);
}

#[actix::test]
async fn r2_an_empty_list_is_no_evidence_even_for_a_single_image() {
    let sim = Sim::default();
    sim.add_image(TAGGED, true);
    let node = Node::new(sim);
    node.pass().await;
    let images = std::mem::take(&mut node.sim.site().images);
    let status = node.passes(4).await;
    assert!(node.is_live(&rootfs(TAGGED)));
    assert_eq!((status.summary.held, status.converged), (1, false));
    // It may be meant after all.
    let code = node.code().await;
    assert_eq!(node.pass_confirmed(code).await.summary.removed, 1);
    node.sim.site().images = images;
    assert_eq!(node.pass().await.summary.added, 1);
}

#[actix::test]
async fn r2_two_different_glitches_are_not_one_thing_seen_twice() {
    let node = node().await;
    let (etag, bytes) = node.sim.site().objects.remove(&ObjectKey::new(rootfs(TAGGED))).unwrap();
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1, "gone, for the first time");
    node.sim.site().objects.insert(ObjectKey::new(rootfs(TAGGED)), (etag, bytes));
    node.sim.tag(TAGGED, false);
    let status = node.pass().await;
    assert_eq!(
        (status.summary.removed, status.summary.waiting_for_second_look),
        (0, 1),
        "untagged, for the first time"
    );
    assert_eq!(node.pass().await.summary.removed, 1);
}

#[actix::test]
async fn r2_a_restart_does_not_forget_what_a_tagged_image_with_a_broken_manifest_named() {
    let node = Node::new(shared());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.sim.put(&format!("{OTHER}/manifest.json"), b"{".to_vec());
    let restarted = Node::new(node.sim.clone());
    restarted.passes(4).await;
    assert!(restarted.is_live(&rootfs(TAGGED)), "the tagged image {OTHER} runs from it");
}

#[actix::test]
async fn r2_without_a_history_an_unreadable_image_may_have_named_anything() {
    let node = Node::new(shared());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.sim.put(&format!("{OTHER}/manifest.json"), b"{".to_vec());
    node.sim.site().history = None;
    let restarted = Node::new(node.sim.clone());
    restarted.passes(4).await;
    assert!(restarted.is_live(&rootfs(TAGGED)));
    // As soon as it is read, or is wanted no more, it holds nothing up.
    restarted.sim.tag(OTHER, false);
    restarted.passes(3).await;
    assert!(!restarted.is_live(&rootfs(TAGGED)));
}

#[actix::test]
async fn r2_an_unreadable_manifest_holds_what_it_may_mean_and_nothing_else() {
    let node = node().await;
    node.sim.add_image("99999999-0000-4000-8000-000000000000", true);
    let manifest = ObjectKey::new("99999999-0000-4000-8000-000000000000/manifest.json");
    node.sim.site().faults.unreadable.insert(manifest);
    node.sim.tag(TAGGED, false);
    let gone = ObjectKey::new(PE);
    node.sim.site().objects.remove(&gone);
    node.sim.site().images.retain(|image| image["id"] != OTHER);
    let status = node.passes(4).await;
    assert!(!node.is_live(&rootfs(TAGGED)) && !node.is_live(PE));
    assert!(node.is_live(&rootfs(OTHER)), "nobody lists it: the unreadable image may name it");
    assert_eq!((status.summary.unclear, status.converged), (1, false));
    assert_eq!(node.plan().await.unclear[0].image.as_str(), "99999999-0000-4000-8000-000000000000");
}

#[actix::test]
async fn r2_a_missing_answer_is_never_a_licence_to_remove() {
    let node = node().await;
    // Still being built, by its record: no link. What was projected of it stays.
    for image in node.sim.site().images.iter_mut().filter(|image| image["id"] == TAGGED) {
        image["link"] = json!(null);
    }
    node.passes(4).await;
    assert!(node.is_live(&rootfs(TAGGED)));
    node.sim.tag(UNTAGGED, false);
}

#[actix::test]
async fn an_undeleted_image_whose_etag_changed_is_proven_by_its_md5_and_keeps_its_identity() {
    let sim = Sim::small_site();
    let key = ObjectKey::new(rootfs(TAGGED));
    let (etag, bytes) = sim.site().objects[&key].clone();
    sim.put_manifest_with_md5(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() },
        actors::sim::md5_of(&bytes).as_str(),
    );
    // IMS moves it back by copying: the same content under another ETag.
    sim.site().objects.insert(key.clone(), (actors::model::Etag::new("copied-2"), bytes));
    let node = Node::new(sim);
    let first = node.pass().await;
    assert_eq!((first.summary.added, first.summary.pending), (5, 1));
    let read = node.sim.site().summed.len();
    assert_eq!(node.pass().await.summary.added, 1);
    let expected = actors::model::Identity::of_rootfs(RootfsLink {
        path: &format!("s3://{BUCKET}/{key}"),
        etag: etag.as_str(),
    });
    assert!(node.luns().iter().any(|(_, name)| *name == expected.name().as_str()));
    // Remembered, over a restart too: it is read once.
    let restarted = Node::new(node.sim.clone());
    restarted.passes(3).await;
    assert_eq!(restarted.sim.site().summed.len(), read);
}

#[actix::test]
async fn r7_an_object_whose_md5_is_not_the_manifests_is_never_projected_under_its_identity() {
    let sim = Sim::small_site();
    let key = rootfs(TAGGED);
    sim.put_manifest_with_md5(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: "another" },
        &"0".repeat(32),
    );
    let node = Node::new(sim);
    node.passes(3).await;
    assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), "content_differs")]);
    assert!(!node.is_live(&key));
}

#[actix::test]
async fn r2_a_tag_that_nobody_can_read_keeps_what_is_live_and_is_told_as_what_it_is() {
    for (metadata, reason) in [
        (json!({"sbps-project": true}), "tag_unclear"),
        (json!({"key": "sbps-project", "value": "true"}), "tag_misplaced"),
    ] {
        let node = node().await;
        for image in node.sim.site().images.iter_mut().filter(|image| image["id"] == TAGGED) {
            image["metadata"] = metadata.clone();
        }
        node.passes(3).await;
        assert!(node.is_live(&rootfs(TAGGED)), "{metadata}");
        assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), reason)]);
    }
}

#[actix::test]
async fn without_tagging_every_image_is_projected_whatever_its_tag_says() {
    let sim = Sim::small_site();
    for (image, metadata) in
        sim.site().images.iter_mut().zip([json!({"sbps-project": 7}), json!({"key": "sbps-project"})])
    {
        image["metadata"] = metadata;
    }
    let node = Node::without_tagging(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.pending), (7, 0));
}

#[actix::test]
async fn r2_m3_a_look_that_misses_an_image_does_not_forget_what_it_names_in_another_folder() {
    let sim = Sim::small_site();
    let etag = sim.put_squashfs("builds/7", 4096);
    sim.put_manifest(TAGGED, RootfsLink { path: &format!("s3://{BUCKET}/builds/7"), etag: etag.as_str() });
    let agent = Scripted::new(sim.clone());
    let stale = Scripted::ims_without(&sim, TAGGED);
    // The first pass sees it, the second misses it, a poll of the tags sees it, the next pass misses it again.
    agent.ims_answers([None, stale.clone(), None, stale]);
    let running = agent.start(None, AT_ONCE);
    agent.pass(&running).await;
    agent.pass(&running).await;
    running.reconciler.send(actors::reconciler::PollTags).await.unwrap();
    agent.pass(&running).await;
    assert_eq!(agent.deletions(), 0, "its second look was its first one anew");
}
