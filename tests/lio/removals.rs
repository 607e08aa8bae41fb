//! What is removed, what waits for an operator, and what that must not hold up.

use std::time::Duration;
use support::node::{Agent, Node, luns, squashfs, wait_for};

fn id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

fn node_with(count: u32) -> Node {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    for n in 0..count {
        node.add_image(&id(n), &image, 0, true);
    }
    node
}

/// The code that the newest `removals_held` asks for.
fn code(agent: &Agent) -> String {
    wait_for("the breaker is told", Duration::from_secs(60), || {
        Some(agent.events_of("removals_held").pop()?["subject"].as_str()?.to_owned())
    })
}

/// Two more passes have ended.
fn two_passes(agent: &Agent) {
    for _ in 0..2 {
        let seen = agent.passes();
        agent.reload();
        agent.wait_for_pass("one more pass", 60, seen, |_| true);
    }
}

#[test]
fn lio_l2_eight_images_that_are_lost_and_given_back_one_by_one_lose_no_lun() {
    let node = node_with(12);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(12, 240);
    let before = luns();
    (0..8).for_each(|n| node.ims.tag(&id(n), false));
    two_passes(&agent);
    assert!(!code(&agent).is_empty());
    for n in 0..8 {
        node.ims.tag(&id(n), true);
        two_passes(&agent);
        assert_eq!(luns(), before, "{} are still away", 7 - n);
    }
    agent.wait_for_pass("all is as it was", 60, agent.passes() - 1, |pass| pass["result"] == "converged");
    assert_eq!(agent.events_of("lun_removed"), Vec::<serde_json::Value>::new());
}

#[test]
fn lio_h4_a_held_removal_that_blocks_creates_is_told_as_that_and_a_confirmation_lets_both_go() {
    let node = node_with(6);
    let late = node.add_image(&id(9), &squashfs(9, 64), 0, false);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(6, 180);
    for n in 0..4 {
        node.ims.tag(&id(n), false);
        node.bucket.delete(&format!("{}/rootfs", id(n)));
        node.bucket.delete(&format!("{}/manifest.json", id(n)));
    }
    two_passes(&agent);
    let code = code(&agent);
    assert_eq!(luns().len(), 6);
    node.ims.tag(&id(9), true);
    wait_for("what blocks is told", Duration::from_secs(90), || agent.events_of("creates_blocked").pop());
    let wrong = Agent::command(&["confirm-removal", "00000000"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let confirmed = Agent::command(&["confirm-removal", &code]);
    assert_eq!(confirmed.status.code(), Some(0), "{confirmed:?}");
    wait_for("the new image is projected", Duration::from_secs(120), || {
        luns().values().any(|lun| lun.wwn == late.wwn).then_some(())
    });
    assert_eq!(luns().len(), 3);
}

#[test]
fn lio_l13_an_undeleted_image_of_several_parts_is_projected_under_its_identity() {
    let node = Node::fresh();
    let bytes = squashfs(3, 10 * 1024 + 64);
    let image = node.add_image(&id(0), &bytes, 2, true);
    let (key, manifest) = (format!("{}/rootfs", id(0)), format!("{}/manifest.json", id(0)));
    std::fs::write("/run/sources/undeleted", &bytes).unwrap();
    let sum = support::node::run("md5sum", &["/run/sources/undeleted"]);
    let etag = node.bucket.etag(&key);
    assert!(etag.ends_with("-2"), "{etag}");
    let mut named = support::node::manifest(&format!("s3://boot-images/{key}"), &etag);
    named["artifacts"][0]["md5"] = sum.split_whitespace().next().unwrap().into();
    node.bucket.put(&manifest, named.to_string().as_bytes());
    // What an undelete does to an object of several parts: the same bytes, copied, under another ETag.
    assert_ne!(node.bucket.put(&key, &bytes), etag);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    assert!(luns().values().any(|lun| lun.wwn == image.wwn && lun.name == image.name));
    assert!(agent.events_of("image_pending").iter().all(|event| event["reason"] == "verifying"));
}
