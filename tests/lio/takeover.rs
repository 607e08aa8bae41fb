//! The successor takes over what the predecessor left.

use std::process::Command;
use support::node::{Agent, Execs, Image, Node, luns, project_as_the_predecessor, run, squashfs};

fn node_with_images(count: u32) -> (Node, Vec<Image>) {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let mut images: Vec<Image> = (0..count)
        .map(|n| node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &image, 0, true))
        .collect();
    images.push(node.add_pe("PE/CPE-base.x86_64-26.11.squashfs", &image));
    (node, images)
}

#[test]
fn lio_a_target_filled_by_the_predecessor_is_taken_over_with_zero_changes() {
    let (node, images) = node_with_images(3);
    images.iter().for_each(project_as_the_predecessor);
    let before = luns();
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3], "the predecessor counts from 0");
    let saved = std::fs::read("/etc/rtslib-fb-target/saveconfig.json").unwrap();

    let agent = Agent::start(&node, "");
    let summary = agent.wait_until_converged(4, 120);
    assert_eq!((&summary["added"], &summary["removed"]), (&0.into(), &0.into()));
    assert_eq!(luns(), before, "same numbers, and not made anew: the inodes are the same");
    assert_eq!(std::fs::read("/etc/rtslib-fb-target/saveconfig.json").unwrap(), saved);
}

#[test]
fn lio_the_agent_never_starts_a_program_and_r11_what_is_saved_is_what_is_live() {
    let (node, _) = node_with_images(3);
    Agent::install(&node, "");
    let execs = Execs::watch();
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(4, 120);
    node.ims.tag("00000001-0000-4000-8000-000000000000", false);
    agent.wait_for_pass("one LUN removed", 90, 0, |pass| pass["removed"] == 1);
    let started = execs.started();
    assert!(
        !started.iter().any(|file| file.contains("targetcli") && !file.contains("targetclid")),
        "{started:?}"
    );
    // Nor anything else, and the trace would have shown it: the daemon's start is there.
    assert_eq!(execs.started_by(agent.property("MainPID").parse().unwrap()), [""; 0]);
    assert!(execs.started().iter().any(|file| file.ends_with("/sbps-marshal")), "{started:?}");

    // What would come back at the next boot, by the program that does it.
    let before = luns();
    agent.stop();
    let restored = Command::new("targetcli").args(["restoreconfig", "clear_existing=true"]).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    let numbers = |target: &support::node::Target| -> Vec<(u16, String)> {
        target.iter().map(|(number, lun)| (*number, lun.wwn.clone())).collect()
    };
    assert_eq!(numbers(&luns()), numbers(&before));
}

#[test]
fn lio_r5_a_rebuilt_worker_gets_the_same_numbers() {
    let (node, images) = node_with_images(5);
    let numbers = |_: &Agent| -> Vec<(u16, String)> {
        luns().into_iter().map(|(number, lun)| (number, lun.name)).collect()
    };
    Agent::install(&node, "");
    assert!(Agent::command(&["run", "--once"]).status.success());
    let first = Agent::start(&node, "");
    let before = numbers(&first);
    assert_eq!(before.len(), images.len());
    first.stop();
    run("targetcli", &["clearconfig", "confirm=true"]);
    run("site", &["target"]);
    assert!(Agent::command(&["run", "--once"]).status.success());
    assert_eq!(numbers(&first), before);
}
