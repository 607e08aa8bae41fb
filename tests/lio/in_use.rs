//! R4: what a node reads from is not taken away from it.

use std::time::{Duration, Instant};
use support::node::{Agent, Image, Initiator, Node, Reader, luns, run, squashfs, wait_for};

/// How long a LUN has to be left alone here, s.
const QUIET: u64 = 40;
const INITIATOR: &str = "/etc/iscsi/initiatorname.iscsi";

fn id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000004")
}

fn projected(image: &Image) -> bool {
    luns().values().any(|lun| lun.name == image.name)
}

/// So many more passes have ended.
fn passes(agent: &Agent, count: usize) {
    for _ in 0..count {
        let seen = agent.passes();
        agent.reload();
        agent.wait_for_pass("one more pass", 60, seen, |_| true);
    }
}

/// The `removal_held` that says that nodes use the LUN of this image.
fn held(agent: &Agent, image: &str) -> String {
    let event = wait_for("it is held", Duration::from_secs(90), || {
        agent
            .events_of("removal_held")
            .into_iter()
            .find(|e| e["image_id"] == image && e["reason"] == "in_use")
    });
    event["detail"].as_str().unwrap().to_owned()
}

#[test]
fn lio_r4_a_lun_stays_while_a_node_reads_from_it_and_goes_when_it_was_quiet_or_an_operator_says_so() {
    let node = Node::fresh();
    let (content, other_content) = (squashfs(1, 3 * 1024), squashfs(2, 3 * 1024));
    let image = node.add_image(&id(1), &content, 0, true);
    let other = node.add_image(&id(2), &other_content, 0, true);
    node.add_image(&id(3), &squashfs(3, 64), 0, true);
    let configuration = format!("guard.quiet_period = {QUIET}");
    let agent = Agent::start(&node, &configuration);
    agent.wait_until_converged(3, 120);
    let initiator = Initiator::login();
    let reader = Reader::of(vec![(initiator.disk(&image), content)]);
    wait_for("it is read", Duration::from_secs(60), || (reader.good()[0] > 1).then_some(()));
    passes(&agent, 1);

    node.ims.tag(&id(1), false);
    let detail = held(&agent, &id(1));
    let name = std::fs::read_to_string(INITIATOR).unwrap();
    let name = name.lines().find_map(|line| line.strip_prefix("InitiatorName=")).unwrap();
    assert!(detail.contains(&format!("1 initiator is logged in: {name}")), "{detail}");
    passes(&agent, 2);
    agent.stop();
    drop(agent);
    let agent = Agent::start(&node, &configuration);
    agent.wait_for_pass("it knows as much as before", 90, 1, |_| true);
    held(&agent, &id(1));
    assert!(projected(&image) && reader.failed() == [0] && reader.wrong() == 0);

    // It stays logged in: what counts is that it does not read any more.
    drop(reader);
    let quiet_since = Instant::now();
    wait_for("it is removed", Duration::from_secs(3 * QUIET), || (!projected(&image)).then_some(()));
    assert!(quiet_since.elapsed() >= Duration::from_secs(QUIET), "after {:?}", quiet_since.elapsed());
    let removed =
        wait_for("it is told", Duration::from_secs(10), || agent.events_of("lun_removed").into_iter().next());
    assert_eq!(removed["image_id"], id(1), "{removed}");

    assert!(initiator.disk(&other).read_direct() == Some(other_content), "another one is read");
    passes(&agent, 1);
    drop(initiator);
    node.ims.tag(&id(2), false);
    let detail = held(&agent, &id(2));
    let code = detail.rsplit(' ').next().unwrap();
    passes(&agent, 1);
    assert!(projected(&other), "it has logged out, and may be booting");
    let wrong = Agent::command(&["confirm-removal", "00000000"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let plan = Agent::command(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["held"][0]["confirm_code"], code, "{plan}");
    let confirmed = Agent::command(&["confirm-removal", code]);
    assert!(confirmed.status.success(), "{confirmed:?}");
    wait_for("it is removed", Duration::from_secs(30), || (!projected(&other)).then_some(()));
    agent.wait_for_pass("all is well", 60, agent.passes() - 1, |pass| pass["result"] == "converged");
}

#[test]
fn lio_r4_attached_holds_a_lun_for_a_path_checker_that_reads_nothing() {
    let node = Node::fresh();
    let image = node.add_image(&id(1), &squashfs(1, 64), 0, true);
    node.add_image(&id(2), &squashfs(2, 64), 0, true);
    let agent = Agent::start(&node, &format!("guard.quiet_period = {QUIET}\nguard.in_use = \"attached\""));
    agent.wait_until_converged(2, 120);
    let initiator = Initiator::login();
    let disk = initiator.disk(&image);
    passes(&agent, 1);
    wait_for("the scan is over", Duration::from_secs(2 * QUIET), || {
        // What multipathd's checker sends.
        run("sg_turs", &[&disk.path().to_string_lossy()]);
        agent.passes().ge(&3).then_some(())
    });
    node.ims.tag(&id(1), false);
    held(&agent, &id(1));
    assert!(projected(&image));
}
