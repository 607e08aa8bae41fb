//! A frozen agent: systemd ends it and starts the next one.

use std::time::Duration;
use support::node::{Agent, DropIn, Node, UNIT, luns, run, squashfs, wait_for};

const LONG: Duration = Duration::from_secs(120);

fn add(node: &Node, images: std::ops::Range<u32>) {
    let image = squashfs(1, 64);
    images
        .for_each(|n| drop(node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &image, 0, true)));
}

/// SIGSTOP; gives the process of the next one when that runs.
fn freezes(agent: &Agent) -> String {
    let pid = agent.property("MainPID");
    run("kill", &["-STOP", &pid]);
    wait_for("the next one runs", LONG, || {
        let next = agent.property("MainPID");
        (next != pid && next != "0" && agent.property("ActiveState") == "active").then_some(next)
    })
}

/// Short, so that a test need not wait: the unit's own is two minutes.
#[test]
fn lio_r14_a_frozen_agent_is_killed_by_the_watchdog_and_the_next_one_goes_on_with_every_lun_untouched() {
    let node = Node::fresh();
    let _short = DropIn::of(UNIT, "[Service]\nWatchdogSec=20\nRestartSec=1\n");
    add(&node, 0..2);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let (before, pid) = (luns(), agent.property("MainPID"));
    // 15 s from pass to pass: it is fed while there is nothing to do.
    let seen = agent.passes();
    agent.wait_for_pass("two more passes", 120, seen + 1, |_| true);
    assert_eq!((agent.property("MainPID"), agent.property("NRestarts")), (pid, "0".to_owned()));

    let seen = agent.passes();
    freezes(&agent);
    let said = agent.said_by_systemd();
    assert!(said.contains("Watchdog timeout (limit 20s)!"), "{said}");
    assert_eq!(agent.property("NRestarts"), "1");
    agent.wait_for_pass("converged again", 120, seen, |pass| {
        pass["result"] == "converged" && pass["live"] == 2
    });
    assert_eq!(luns(), before, "the inodes too");

    // In mid-pass, with the daemon's session and its lock.
    add(&node, 2..10);
    agent.reload();
    wait_for("the pass is under way", LONG, || (luns().len() > 2).then_some(()));
    freezes(&agent);
    assert!(luns().len() < 10, "the pass had ended already");
    agent.wait_until_converged(10, 240);
    assert!(before.iter().all(|(number, lun)| luns().get(number) == Some(lun)), "those of before still are");
    assert!(agent.events_of("lun_removed").is_empty());
}
