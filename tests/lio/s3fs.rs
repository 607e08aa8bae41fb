//! Each way in which the real s3fs fails: removals are frozen, the condition has its own reason, and it clears by itself.

use std::time::Duration;
use support::node::{Agent, MOUNT, Node, luns, mount, run, squashfs, wait_for};

const IDS: [&str; 2] = ["0000000a-5392-41cf-b915-94f03a372d00", "0000000b-5392-41cf-b915-94f03a372d00"];

struct Failure {
    /// How it is told.
    reason: &'static str,
    fail: fn(),
    mend: fn(),
}

const FAILURES: [Failure; 4] = [
    Failure { reason: "hung", fail: || signal("-STOP"), mend: || signal("-CONT") },
    Failure { reason: "dead", fail: mount::kill, mend: mount_anew },
    Failure { reason: "not_mounted", fail: mount::stop, mend: mount::start },
    Failure { reason: "not_mounted", fail: leave_a_plain_folder, mend: clear_the_folder },
];

fn signal(signal: &str) {
    run("killall", &[signal, "s3fs"]);
}

fn mount_anew() {
    run("umount", &["-l", MOUNT]);
    mount::start();
}

/// What somebody has left in the folder below is no image.
fn leave_a_plain_folder() {
    mount::stop();
    std::fs::create_dir_all(format!("{MOUNT}/PE")).expect("a folder");
    std::fs::write(format!("{MOUNT}/PE/left-behind.squashfs"), squashfs(7, 64)).expect("a file");
}

fn clear_the_folder() {
    std::fs::remove_dir_all(format!("{MOUNT}/PE")).expect("what was left behind");
    mount::start();
}

#[test]
fn lio_r2_r14_each_way_in_which_s3fs_fails_freezes_removals_and_clears_by_itself() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    IDS.iter().for_each(|id| drop(node.add_image(id, &image, 0, true)));
    let agent = Agent::start(&node, "mount.timeout = 3");
    agent.wait_until_converged(2, 120);
    let names = || luns().into_values().map(|lun| lun.name).collect::<Vec<_>>();
    let before = names();
    for Failure { reason, fail, mend } in FAILURES {
        fail();
        let seen = agent.passes();
        let unknown = format!("mount:{reason}");
        let is_told = |pass: &serde_json::Value| pass["unknown"] == unknown;
        // The image is even untagged, and still nothing goes.
        node.ims.tag(IDS[0], false);
        agent.reload();
        agent.wait_for_pass(&format!("a pass with {unknown}"), 120, seen, is_told);
        let seen = agent.passes();
        agent.wait_for_pass("another one", 120, seen, is_told);
        assert_eq!(names(), before, "{reason}");
        node.ims.tag(IDS[0], true);
        let told =
            agent.events_of("source_unknown").into_iter().filter(|event| event["reason"] == reason).count();
        assert!(told > 0, "{reason}");
        let cleared = || {
            let resolved = agent.events_of("resolved").into_iter();
            resolved.filter(|event| event["was"] == "source_unknown" && event["reason"] == reason).count()
        };
        mend();
        wait_for(&format!("{reason} clears"), Duration::from_secs(180), || (cleared() == told).then_some(()));
        let seen = agent.passes();
        agent.wait_for_pass("converged again", 180, seen, |pass| {
            pass["result"] == "converged" && pass["live"] == 2
        });
        assert_eq!(names(), before, "{reason}");
    }
    assert!(agent.events_of("lun_removed").is_empty());
}
