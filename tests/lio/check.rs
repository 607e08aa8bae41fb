//! `sbps-marshal check` on a node where everything works, and with one thing after the other taken from it.

use serde_json::Value;
use support::node::configfs::{get, make, set, tpg};
use support::node::{Agent, Node, mount, run, squashfs};

/// Exit code, and the lines that are not ok: name and verdict.
fn check() -> (Option<i32>, Vec<(String, String)>) {
    let output = Agent::command(&["check", "--json"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Value> = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    println!("{}", String::from_utf8_lossy(&Agent::command(&["check"]).stdout));
    let text = |line: &Value, key: &str| line[key].as_str().expect("text").to_owned();
    let wrong = lines.iter().filter(|line| line["verdict"] != "ok");
    (output.status.code(), wrong.map(|line| (text(line, "name"), text(line, "verdict"))).collect())
}

fn wrong(name: &str, verdict: &str) -> (String, String) {
    (name.to_owned(), verdict.to_owned())
}

#[test]
fn lio_check_names_what_is_wrong_on_a_real_node_and_nothing_else() {
    let node = Node::fresh();
    node.add_image("0000000a-5392-41cf-b915-94f03a372d00", &squashfs(1, 64), 0, true);
    let agent = Agent::start(&node, "spire.mode = \"none\"");
    agent.wait_until_converged(1, 120);
    agent.stop();
    assert_eq!(check(), (Some(0), vec![]));

    // Another target's portal: of another TPG, and so nobody's matter here.
    make("iscsi/iqn.2001-01.com.other:t/tpgt_1/np/127.0.0.1:3261");
    assert_eq!(check(), (Some(0), vec![]));

    let protected = format!("{}/attrib/demo_mode_write_protect", tpg());
    set(&protected, "0");
    assert_eq!(check(), (Some(2), vec![wrong("read_only", "failed")]));
    set(&protected, "1");

    let enabled = format!("{}/enable", tpg());
    set(&enabled, "0");
    // The portal still accepts connections then, and refuses each login.
    assert_eq!(check(), (Some(2), vec![wrong("target", "failed")]));
    set(&enabled, "1");
    assert_eq!(get(&enabled), "1");

    mount::stop();
    assert_eq!(check(), (Some(2), vec![wrong("mount", "failed")]));
    mount::start();

    run("systemctl", &["stop", "targetclid.socket", "targetclid.service"]);
    assert_eq!(check(), (Some(2), vec![wrong("targetclid", "failed")]));
    run("systemctl", &["start", "targetclid.socket"]);

    std::fs::write("/etc/rtslib-fb-target/saveconfig.json", "{\"storage").expect("a torn file");
    assert_eq!(check(), (Some(1), vec![wrong("saveconfig", "warning")]));
}
