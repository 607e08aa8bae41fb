//! What is removed, what waits for an operator, and what that must not hold up.

use std::time::{Duration, Instant};
use support::node::{Agent, Initiator, Node, Target, luns, sha256_of_tree, source_of, squashfs, wait_for};

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

/// From the first look to the second, s. Four images are deleted in a fraction of it, and more than three are held: so
/// no two looks find fewer gone.
const CONFIRM_AFTER: u64 = 40;

#[test]
fn lio_l2_eight_images_that_are_deleted_and_given_back_one_by_one_lose_no_lun() {
    let node = node_with(12);
    let agent = Agent::start(&node, &format!("guard.confirm_after = {CONFIRM_AFTER}"));
    agent.wait_until_converged(12, 240);
    let before = luns();
    let begun = Instant::now();
    (0..4).for_each(|n| node.delete_image(&id(n)));
    assert!(begun.elapsed().as_secs() < CONFIRM_AFTER, "{:?} for four deletions", begun.elapsed());
    (4..8).for_each(|n| node.delete_image(&id(n)));
    assert!((0..8).all(|n| node.bucket.get(&format!("{}/rootfs", id(n))).is_none()));
    two_passes(&agent);
    assert!(!code(&agent).is_empty());
    // Whatever is still away is due from now on: only the breaker is between it and its removal.
    let held = Instant::now();
    wait_for("both looks are over", Duration::from_secs(2 * CONFIRM_AFTER), || {
        (held.elapsed().as_secs() > CONFIRM_AFTER).then_some(())
    });
    two_passes(&agent);
    assert_eq!(luns(), before);

    for n in 0..8 {
        node.undelete_image(&id(n));
        two_passes(&agent);
        assert_eq!(luns(), before, "{} are still away", 7 - n);
    }
    agent.wait_for_pass("all is as it was", 60, agent.passes() - 1, |pass| {
        pass["result"] == "converged" && pass["live"] == 12
    });
    for event in ["lun_removed", "lun_remade", "lun_added"] {
        let expected = if event == "lun_added" { 12 } else { 0 };
        assert_eq!(agent.events_of(event).len(), expected, "{event}");
    }
    assert_eq!(node.bucket.written_by_s3fs(), [""; 0]);
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
fn lio_l13_an_image_of_several_parts_that_is_deleted_and_undeleted_is_projected_under_its_identity() {
    let node = Node::fresh();
    let (key, seed) = (format!("{}/rootfs", id(0)), 3);
    let image = node.add_image(&id(0), &squashfs(seed, 10 * 1024 + 64), 2, true);
    // Without another one IMS would list nothing at all, and that is no evidence.
    node.add_image(&id(1), &squashfs(1, 64), 0, true);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let uploaded = node.bucket.etag(&key);
    let seen = |target: Target| -> Vec<(u16, String, String)> {
        target.into_iter().map(|(number, lun)| (number, lun.name, lun.wwn)).collect()
    };
    let before = seen(luns());
    let is_there = || luns().values().any(|lun| lun.name == image.name && lun.wwn == image.wwn);
    assert!(is_there());

    node.delete_image(&id(0));
    agent.wait_for_pass("it is withdrawn", 120, 0, |pass| pass["removed"] == 1);
    assert!(!is_there() && luns().len() == 1);

    node.undelete_image(&id(0));
    let copied = node.bucket.etag(&key);
    assert!(uploaded.ends_with("-2") && copied.ends_with("-2") && copied != uploaded, "{uploaded} {copied}");
    let passes = agent.passes();
    agent.wait_for_pass("it is projected again", 120, passes - 1, |pass| {
        pass["result"] == "converged" && pass["live"] == 2
    });
    assert_eq!(seen(luns()), before, "the same identities under the same numbers");
    let initiator = Initiator::login();
    assert_eq!(initiator.disk(&image).sha256(), sha256_of_tree(&source_of(seed)));
    assert_eq!(node.bucket.written_by_s3fs(), [""; 0]);
}
