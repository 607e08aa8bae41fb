//! The agent beside targetclid, other tools, systemd and its own commands.

use std::time::Duration;
use support::node::{Agent, IQN, MOUNT, Node, luns, run, squashfs, wait_for};
use support::tls::Authority;

fn node_with(count: u32) -> Node {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    for n in 0..count {
        node.add_image(&format!("{n:08x}-0000-4000-8000-000000000000"), &image, 0, true);
    }
    node
}

#[test]
fn lio_what_another_hand_removed_comes_back_under_its_number_although_the_daemons_tree_is_stale() {
    let node = node_with(3);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(3, 120);
    let before = luns();
    let (number, lun) = before.first_key_value().unwrap();
    run("targetcli", &[&format!("/iscsi/{IQN}/tpg1/luns"), "delete", &number.to_string()]);
    run("targetcli", &["/backstores/fileio", "delete", &lun.name]);
    assert_eq!(luns().len(), 2);
    agent.reload();
    agent.wait_for_pass("it is back", 60, 0, |pass| pass["added"] == 1);
    assert_eq!(luns()[number].wwn, lun.wwn);
}

#[test]
fn lio_l1_a_backstore_that_plain_targetcli_makes_in_mid_pass_costs_no_image_its_lun() {
    let node = node_with(8);
    let agent = Agent::start(&node, "");
    wait_for("the pass is under way", Duration::from_secs(120), || (!luns().is_empty()).then_some(()));
    std::fs::write("/srv/scratch.img", vec![0; 1 << 20]).unwrap();
    run("targetcli", &["/backstores/fileio", "create", "scratch", "/srv/scratch.img"]);
    assert!(luns().len() < 8, "it came in mid-pass");
    agent.wait_until_converged(8, 180);
    assert_eq!(agent.passes(), 1, "in this very pass");
    assert_eq!(agent.events_of("change_failed"), Vec::<serde_json::Value>::new());
}

#[test]
fn lio_r9_h3_keys_with_targetclids_end_marker_hurt_nothing_else() {
    let node = node_with(2);
    let image = squashfs(2, 64);
    for n in 0..3 {
        node.add_pe(&format!("PE/-END@OF@DATA-{n}"), &image);
    }
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let pending = agent.events_of("image_pending");
    assert_eq!(pending.len(), 3);
    assert!(pending.iter().all(|event| event["reason"] == "key_rejected"), "{pending:?}");
}

#[test]
fn lio_h7_a_broken_ca_bundle_is_refused_at_reload_while_the_old_one_is_used_on_and_a_rotated_one_is_read() {
    let node = node_with(1);
    let late: Vec<String> = (8..10).map(|n| format!("{n:08x}-0000-4000-8000-000000000000")).collect();
    late.iter().for_each(|id| drop(node.add_image(id, &squashfs(2, 64), 0, false)));
    let (old, new) = (Authority::new(), Authority::new());
    let gateway = node.gateway(&old);
    let bundle = "/etc/sbps-marshal/ca.pem";
    std::fs::create_dir_all("/etc/sbps-marshal").unwrap();
    std::fs::write(bundle, old.pem()).unwrap();
    let settings = format!("ims.gateway = \"{}\"\nims.ca_bundle = \"{bundle}\"", gateway.url());
    let agent = Agent::start(&node, &settings);
    agent.wait_until_converged(1, 120);
    let pid = agent.property("MainPID");

    // The bundle is being written.
    std::fs::write(bundle, "-----BEGIN CERTIFICATE-----\nhalf written").unwrap();
    agent.reload();
    let refused = wait_for("the bundle is refused", Duration::from_secs(30), || {
        agent.events_of("reload_refused").pop()
    });
    assert!(refused["detail"].as_str().unwrap().contains(bundle), "{refused}");
    assert_eq!(Agent::command(&["check-config"]).status.code(), Some(1));
    // Who still asks now has checked this certificate by the bundle that was read at the start.
    gateway.renew(&old);
    node.ims.tag(&late[0], true);
    agent.wait_until_converged(2, 60);

    // The gateway's certificate is of the other CA, and the bundle not there yet.
    gateway.renew(&new);
    let seen = agent.passes();
    agent.reload();
    let blind =
        |pass: &serde_json::Value| pass["unknown"].as_str().is_some_and(|unknown| unknown.contains("ims:"));
    agent.wait_for_pass("nobody can ask", 60, seen, blind);
    node.ims.tag(&late[1], true);
    node.ims_requests();
    agent.wait_for_pass("nor in the next pass", 60, seen + 1, blind);
    assert_eq!((node.ims_requests(), luns().len()), (0, 2));

    // Another content under the same name.
    std::fs::write(bundle, new.pem()).unwrap();
    agent.reload();
    agent.wait_until_converged(3, 60);
    assert_eq!(agent.events_of("reloaded").len(), 1, "not for the broken one");
    assert_eq!(agent.property("MainPID"), pid, "the same process");
}

#[test]
fn lio_a_daemon_that_is_restarted_in_between_is_found_again() {
    let node = node_with(1);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    run("systemctl", &["restart", "targetclid.service"]);
    let image = squashfs(2, 64);
    node.add_image("00000009-0000-4000-8000-000000000000", &image, 0, true);
    agent.wait_until_converged(2, 60);
}

#[test]
fn lio_r12_a_second_instance_is_refused_and_named() {
    let node = node_with(1);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(1, 120);
    let second = Agent::command(&["run", "--once"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains(&format!("process {}", agent.property("MainPID"))), "{said}");
}

#[test]
fn lio_a_dry_run_says_what_would_change_changes_nothing_and_once_says_whether_it_converged() {
    let node = node_with(2);
    Agent::install(&node, "");
    let plan = Agent::command(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!((plan["changes"].as_array().unwrap().len(), luns().len()), (2, 0));
    assert_eq!(plan["changes"][0]["action"], "project");
    let text = String::from_utf8(Agent::command(&["plan"]).stdout).unwrap();
    assert!(text.contains("2 to change"), "{text}");

    assert_eq!(Agent::command(&["run", "--once"]).status.code(), Some(0));
    assert_eq!(luns().len(), 2);
    // A removal needs a second look: one pass cannot converge.
    node.ims.tag("00000000-0000-4000-8000-000000000000", false);
    assert_eq!(Agent::command(&["run", "--once"]).status.code(), Some(3));
    assert_eq!(luns().len(), 2);
}

#[test]
fn lio_sighup_takes_a_new_configuration_and_keeps_the_old_one_if_the_new_is_bad() {
    let node = node_with(1);
    node.add_pe("PE/a.squashfs", &squashfs(2, 64));
    let agent = Agent::start(&node, "pe.suffix = \".other\"");
    agent.wait_until_converged(1, 120);
    let pid = agent.property("MainPID");

    Agent::configure(&node, "pe.suffix = 7.5.3");
    let check = Agent::command(&["check-config"]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(1));
    assert!(said.contains("/etc/sbps-marshal/config.toml"), "{said}");
    agent.reload();
    wait_for("the bad configuration is refused", Duration::from_secs(30), || {
        agent.events_of("reload_refused").pop()
    });

    Agent::configure(&node, "");
    assert_eq!(Agent::command(&["check-config"]).status.code(), Some(0));
    agent.reload();
    agent.wait_until_converged(2, 60);
    assert_eq!(agent.property("MainPID"), pid, "the same process");
}

#[test]
fn lio_sigterm_during_a_long_pass_finishes_the_step_and_ends_the_session() {
    let node = node_with(12);
    let agent = Agent::start(&node, "");
    wait_for("the pass is under way", Duration::from_secs(120), || (!luns().is_empty()).then_some(()));
    agent.stop();
    let begun = luns().len();
    assert!(begun < 12, "the pass had ended already");
    // Nothing half done: every backstore has its LUN, and the daemon serves the next client.
    let backstores = std::fs::read_dir("/sys/kernel/config/target/core").unwrap();
    let stores =
        backstores.filter(|hba| hba.as_ref().unwrap().file_name().to_string_lossy().starts_with("fileio_"));
    assert!(stores.count() - begun <= 1);
    run("targetcli", &["ls", "/backstores/fileio", "1"]);
    assert_eq!(Agent::command(&["run", "--once"]).status.code(), Some(0));
    assert_eq!(luns().len(), 12);
}

#[test]
fn lio_r2_a_mount_that_is_gone_removes_nothing() {
    let node = node_with(2);
    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let before = luns();
    run("umount", &["-l", MOUNT]);
    // An empty folder is there now; the image is even untagged, and still nothing is known for sure.
    node.ims.tag("00000000-0000-4000-8000-000000000000", false);
    let seen = agent.passes();
    agent.reload();
    agent.wait_for_pass("a pass without the mount", 60, seen, |pass| pass["unknown"] == "mount:not_mounted");
    agent.wait_for_pass("another one", 60, seen + 1, |pass| pass["unknown"] == "mount:not_mounted");
    assert_eq!(luns(), before);
}
