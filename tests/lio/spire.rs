//! Identity: the unit as it is shipped, real SPIRE, and an IMS that verifies every token by SPIRE's own keys.

use std::path::Path;
use std::time::Duration;
use support::node::{Agent, Node, luns, run, squashfs, wait_for};
use support::spire::{HELPER, Spire};

pub(crate) const PLAIN: &str = "spiffe://shasta/ncn/workload/sbps-marshal";
const OF_NODE: &str = "spiffe://shasta/ncn/x3000c0s5b0n0/workload/sbps-marshal";
pub(crate) const PROGRAM: &str = "/usr/bin/sbps-marshal";
const ID: &str = "0000000a-5392-41cf-b915-94f03a372d00";
const XNAME: &str = "/etc/cray/xname";

/// For whatever takes its time: entries and keys reach SPIRE's agent after some seconds.
const LONG: Duration = Duration::from_secs(180);

/// A node with one tagged image, SPIRE without entries, and an IMS that wants its tokens.
fn site() -> (Node, Spire) {
    let _ = std::fs::remove_file(XNAME);
    let node = Node::fresh();
    node.add_image(ID, &squashfs(1, 64), 0, true);
    // The unit has a /tmp of its own.
    let spire = Spire::start_in(Path::new("/run/vm"));
    node.ims.requires(spire.bundle());
    (node, spire)
}

pub(crate) fn config(spire: &Spire) -> String {
    let helper = spire.path(HELPER);
    format!("spire.agent_sock_path = {:?}\nspire.agent_path = {helper:?}", spire.socket())
}

/// The next caller that IMS answers is this one.
fn wait_for_caller(node: &Node, id: &str) {
    node.ims.take_callers();
    wait_for(&format!("a request of {id}"), LONG, || {
        let (callers, _) = node.ims.take_callers();
        callers.iter().any(|caller| caller == id).then_some(())
    });
}

fn wait_for_way(agent: &Agent, way: &str) {
    wait_for(&format!("the way {way}"), LONG, || {
        agent.events_of("identity_way").last().filter(|event| event["way"] == way).map(drop)
    });
}

#[test]
fn lio_spire_the_unit_gets_its_tokens_from_the_workload_api_through_all_that_happens_to_spire() {
    let (node, mut spire) = site();
    let agent = Agent::start(&node, &config(&spire));
    // Neither we nor the helper have an entry: nothing is known, so nothing is done.
    let denied = agent.wait_for_pass("a pass that is denied", 120, 0, |pass| {
        pass["unknown"].as_str().is_some_and(|unknown| unknown.contains("ims:spire_denied"))
    });
    assert_eq!((denied["live"].as_u64(), luns().len()), (Some(0), 0), "{denied}");
    let source = agent.events_of("source_unknown").pop().expect("the condition");
    assert!(
        source["detail"].as_str().is_some_and(|detail| detail.contains("spire-server entry create")),
        "{source}"
    );

    spire.add_entry(PLAIN, PROGRAM);
    agent.wait_until_converged(1, 180);
    let (callers, _) = node.ims.take_callers();
    assert!(!callers.is_empty() && callers.iter().all(|caller| caller == PLAIN), "{callers:?}");
    wait_for_way(&agent, "workload-api");

    // SPIRE's agent dies: the token at hand is good for minutes.
    spire.stop_agent();
    wait_for_caller(&node, PLAIN);
    // Its socket goes as well.
    std::fs::remove_file(spire.socket()).expect("the socket");
    wait_for_caller(&node, PLAIN);
    assert_eq!(luns().len(), 1);
    // It comes back, and the keys are rotated: IMS takes nothing any more that the old one has signed.
    spire.start_agent();
    spire.rotate_jwt_key();
    node.ims.requires(spire.bundle());
    wait_for_caller(&node, PLAIN);
    let seen = agent.passes();
    agent.wait_for_pass("converged after the rotation", 120, seen, |pass| pass["result"] == "converged");

    // The node has a name, and an entry for it: it is preferred.
    std::fs::create_dir_all("/etc/cray").expect("a folder");
    std::fs::write(XNAME, "x3000c0s5b0n0\n").expect("the name of the node");
    spire.add_entry(OF_NODE, PROGRAM);
    run("systemctl", &["restart", "sbps-marshal.service"]);
    wait_for_caller(&node, OF_NODE);
    assert_eq!(luns().len(), 1, "not one LUN has gone");
    assert!(agent.events_of("lun_removed").is_empty());
}

#[test]
fn lio_spire_the_helper_that_csm_registers_is_run_by_the_unit_when_we_have_no_entry_ourselves() {
    let (node, spire) = site();
    spire.add_entry(PLAIN, &spire.path(HELPER).display().to_string());
    let agent = Agent::start(&node, &config(&spire));
    agent.wait_until_converged(1, 240);
    wait_for_way(&agent, "helper");
    let (callers, _) = node.ims.take_callers();
    assert!(!callers.is_empty() && callers.iter().all(|caller| caller == PLAIN), "{callers:?}");
}
