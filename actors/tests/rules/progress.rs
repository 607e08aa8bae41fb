//! R9 and R14: what fails hurts nothing else, and what is nearly there is soon looked at again.

use crate::common::{AT_ONCE, Node, Scripted, foreign};
use crate::{TAGGED, UNTAGGED, rootfs};
use actors::decide::cadence::Cadence;
use actors::model::{Identity, ObjectKey, Request, RootfsLink, Step};
use actors::sim::{BUCKET, Sim};
use std::collections::BTreeSet;
use std::time::Duration;

/// PE images whose changes come before all others.
fn first_in_order(sim: &Sim, count: usize) -> Vec<Identity> {
    let first = {
        let site = sim.site();
        let of = |key: &ObjectKey| match key.as_str().starts_with("PE/") {
            true => Identity::of_pe(BUCKET, key),
            false => Identity::of_rootfs(RootfsLink {
                path: &format!("s3://{BUCKET}/{key}"),
                etag: site.objects[key].0.as_str(),
            }),
        };
        site.objects.keys().map(of).collect::<BTreeSet<_>>().into_iter().next().unwrap()
    };
    let key = |n: &u32| ObjectKey::new(format!("PE/{n}"));
    let chosen = (0_u32..).filter(|n| Identity::of_pe(BUCKET, &key(n)) < first).take(count);
    chosen
        .map(|n| {
            sim.put_squashfs(key(&n).as_str(), 4096);
            Identity::of_pe(BUCKET, &key(&n))
        })
        .collect()
}

#[actix::test]
async fn r9_changes_that_make_the_daemon_hang_up_starve_no_other_and_no_save() {
    let sim = Sim::small_site();
    for identity in first_in_order(&sim, 3) {
        sim.site().faults.hang_ups.insert(identity.name().to_string());
    }
    let node = Node::new(sim);
    let first = node.pass().await;
    assert_eq!((first.summary.added, first.summary.failed), (0, 9), "three in a row end the pass");
    let second = node.pass().await;
    assert_eq!((second.summary.added, second.summary.save.kind()), (6, "written"), "what failed goes last");
}

#[actix::test]
async fn r14_a_daemon_that_does_not_answer_is_asked_three_times_and_then_left_alone() {
    let sim = Sim::small_site();
    sim.site().faults.targetclid = true;
    let agent = Scripted::new(sim);
    let status = agent.pass_once().await;
    assert_eq!((status.summary.failed, status.summary.save.kind()), (6, "untried"));
    // A refresh while the files are looked into, one before, the first step of three images, and a refresh to learn whether
    // it was these three alone.
    assert_eq!(agent.asked_of_lio(), 6);
}

#[actix::test]
async fn a_create_that_another_process_has_spoiled_is_tried_again_after_a_refresh_in_the_same_pass() {
    let sim = Sim::small_site();
    let (meddler, mut done) = (sim.clone(), false);
    let node = Node::with_hook(sim, move |step| {
        if matches!(step, Request::Change(Step::CreateBackstore { .. })) && !done {
            done = true;
            meddler.another_hand(|actual| actual.backstores.push(foreign("scratch", "/srv/scratch.img")));
        }
    });
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, status.converged), (6, 0, true), "{status}");
}

#[actix::test]
async fn after_a_failure_the_daemon_reads_its_tree_anew_even_if_the_pass_saved() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let name = node.sim.add_image("77777777-0000-4000-8000-000000000000", true).name();
    node.sim.site().faults.ignored.insert(name.to_string());
    node.sim.tag(UNTAGGED, true);
    assert_eq!(node.pass().await.summary.failed, 1);
    let told = node.sim.site().told.len();
    node.pass().await;
    assert_eq!(node.sim.site().told[told], Request::Refresh);
}

#[actix::test]
async fn a_command_that_takes_effect_late_is_seen_and_not_made_twice() {
    let sim = Sim::small_site();
    sim.site().faults.late = 3;
    let node = Node::new(sim);
    node.passes(3).await;
    assert_eq!(node.luns().len(), 6);
    let site = node.sim.site();
    let names: BTreeSet<&str> = site.actual.backstores.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names.len(), site.actual.backstores.len());
}

#[actix::test]
async fn one_object_that_s3fs_refuses_stops_no_other_image_and_no_removal() {
    let sim = Sim::small_site();
    sim.put_squashfs("PE/0.squashfs", 4096);
    sim.site().faults.refused.insert(ObjectKey::new("PE/0.squashfs"));
    let node = Node::new(sim);
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.unclear), (6, 1));
    assert_eq!(status.summary.unknown, ["mount:refused"]);
    node.sim.tag(TAGGED, false);
    assert_eq!(node.passes(2).await.summary.removed, 1);
}

#[actix::test]
async fn r14_the_first_failure_of_the_mount_as_a_whole_ends_the_round() {
    let sim = Sim::small_site();
    (0..30).for_each(|n| drop(sim.put_squashfs(&format!("PE/more-{n:02}.squashfs"), 4096)));
    let agent = Scripted::new(sim);
    agent.mount_dies_after(2);
    let status = agent.pass_once().await;
    assert_eq!(status.summary.unknown, ["mount:hung"]);
    assert_eq!(status.summary.added, 2);
    // Before its LUN none is opened again.
    assert!(agent.inspected() <= 2 + 8, "two good, and those that were asked when the first one hung");
}

#[actix::test]
async fn an_s3fs_that_is_denied_what_it_shows_is_told_as_that() {
    let sim = Sim::small_site();
    let all = sim.site().objects.keys().cloned().collect();
    sim.site().faults.denied = all;
    let node = Node::new(sim);
    let status = node.pass().await;
    assert!(!status.converged && status.summary.unknown.is_empty(), "{status}");
    assert_eq!(Node::reasons(&node.plan().await)[0].1, "file_denied");
}

#[actix::test]
async fn objects_that_s3fs_is_denied_or_refuses_hold_up_no_removal_however_many_they_are() {
    for count in [2, 40] {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        for n in 0..count {
            let key = ObjectKey::new(format!("PE/written-by-another-{n}"));
            node.sim.put_squashfs(key.as_str(), 4096);
            let mut site = node.sim.site();
            let faults = &mut site.faults;
            if count == 2 {
                faults.denied.insert(key)
            } else {
                faults.refused.insert(key)
            };
        }
        node.sim.tag(TAGGED, false);
        let status = node.passes(2).await;
        assert!(!node.is_live(&rootfs(TAGGED)) && !status.converged, "{count}: {status}");
    }
}

#[actix::test]
async fn m4_a_mount_that_shows_none_of_the_listed_images_is_told_and_the_node_has_not_converged() {
    let sim = Sim::small_site();
    let hidden = sim.site().objects.keys().cloned().collect();
    sim.site().faults.hidden = hidden;
    let node = Node::new(sim);
    let status = node.pass().await;
    assert!(!status.converged, "{status}");
    assert_eq!(node.findings().await, [("mount_empty", "no_image")]);
}

#[actix::test]
async fn what_is_no_image_is_read_once_and_again_only_when_it_has_changed() {
    let sim = Sim::small_site();
    sim.put("PE/README", vec![b'x'; 1024]);
    let agent = Scripted::new(sim.clone());
    let cast = agent.start(None, AT_ONCE);
    agent.pass(&cast).await;
    let read = agent.inspected();
    agent.pass(&cast).await;
    assert_eq!(agent.inspected(), read);
    sim.put("PE/README", vec![b'y'; 1024]);
    agent.pass(&cast).await;
    assert_eq!(agent.inspected(), read + 1);
}

#[actix::test]
async fn an_ims_that_does_not_answer_once_makes_no_manifest_forgotten() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let read = node.sim.site().got.len();
    node.sim.site().faults.ims = true;
    node.pass().await;
    node.sim.site().faults.ims = false;
    node.pass().await;
    assert_eq!(node.sim.site().got.len(), read);
}

#[actix::test]
async fn r14_manifests_are_read_side_by_side() {
    let sim = Sim::default();
    (0..8).for_each(|n| drop(sim.add_image(&format!("img{n}"), true)));
    let agent = Scripted::new(sim);
    // Each waits until all eight are under way.
    agent.manifests_wait_for_each_other(8);
    assert_eq!(agent.pass_once().await.summary.added, 8);
}

#[actix::test]
async fn r14_manifests_that_hang_cost_one_budget_and_not_one_each() {
    let sim = Sim::default();
    (0..40).for_each(|n| drop(sim.add_image(&format!("img{n:02}"), true)));
    sim.put_squashfs("PE/a", 4096);
    let agent = Scripted::new(sim);
    agent.manifests_wait_for_each_other(41);
    let status = agent.pass_within(Duration::from_millis(300)).await;
    assert_eq!((status.summary.added, status.summary.unclear), (1, 40));
}

#[actix::test]
async fn an_image_that_is_not_quite_there_yet_is_looked_at_again_soon() {
    let sim = Sim::small_site();
    let key = ObjectKey::new(rootfs(TAGGED));
    sim.site().faults.stale.insert(key.clone(), 512);
    let agent = Scripted::new(sim.clone());
    let long = Duration::from_secs(180);
    let cast = agent.start(Some(Cadence { scan: long, tags: long }), AT_ONCE);
    let mut status = cast.status.clone();
    status.changed().await.unwrap();
    sim.site().faults.stale.clear();
    let again = tokio::time::timeout(Duration::from_secs(60), status.changed()).await;
    assert!(again.is_ok(), "nodes wait 300 s, the next scan is in 180 s");
    assert_eq!(status.borrow().summary.added, 1);
}

#[actix::test]
async fn while_another_client_holds_the_daemon_it_is_named_and_its_release_is_soon_noticed() {
    let sim = Sim::small_site();
    sim.site().faults.busy = true;
    let agent = Scripted::new(sim.clone());
    let long = Duration::from_secs(180);
    let cast = agent.start(Some(Cadence { scan: long, tags: long }), AT_ONCE);
    let mut status = cast.status.clone();
    status.changed().await.unwrap();
    let first = status.borrow_and_update().clone();
    assert_eq!((first.summary.unknown, first.converged), (vec!["lio:busy".to_owned()], false));
    sim.site().faults.busy = false;
    tokio::time::timeout(Duration::from_secs(60), status.wait_for(|s| s.converged)).await.unwrap().unwrap();
}
