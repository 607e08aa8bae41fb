//! Start before, with and after every party: nobody has to start anything twice, or in order.

use super::spire::{PLAIN, PROGRAM, config};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::node::{
    Agent, Image, Network, Node, SAVE_FOLDER, clear_target, luns, mount, project_as_the_predecessor, run,
    squashfs, wait_for,
};
use support::spire::Spire;

/// Whom the agent needs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Party {
    /// targetclid.socket, by which its daemon is started.
    Socket,
    /// target.service, which restores what is saved, for what it finds.
    Target,
    /// The s3fs mount.
    Mount,
    /// The way to IMS and S3.
    Network,
    /// SPIRE's agent on this node.
    Spire,
}

use Party::{Mount as M, Network as N, Socket as S, Spire as P, Target as T};

/// Who comes before the agent, and who after it. 720 orders are too many; in these each party is once the first of all,
/// once the last, and before and after the agent more than once; the agent is first, last and everywhere in between.
const ORDERS: [(&[Party], &[Party]); 6] = [
    (&[], &[S, T, M, N, P]),
    (&[T], &[M, N, P, S]),
    (&[M, N], &[P, S, T]),
    (&[N, P, S], &[T, M]),
    (&[P, S, T, M], &[N]),
    (&[S, P, N, M, T], &[]),
];

const IDS: [&str; 3] =
    ["0000000a-5392-41cf-b915-94f03a372d00", "0000000b-5392-41cf-b915-94f03a372d00", "PE/c"];

/// The parties, each of which can be down.
struct Site {
    node: Node,
    network: Network,
    spire: Spire,
}

impl Site {
    fn new() -> Self {
        let node = Node::fresh();
        let spire = Spire::start_in(Path::new("/run/vm"));
        spire.add_entry(PLAIN, PROGRAM);
        node.ims.requires(spire.bundle());
        let network = node.network();
        Site { node, network, spire }
    }

    fn agent(&self) -> Agent {
        let often = "scan.frequency = 5";
        Agent::start(&self.node, &format!("{often}\n{}\n{}", self.network.config(), config(&self.spire)))
    }

    fn start(&mut self, party: Party) {
        match party {
            Party::Socket => {
                run("systemctl", &["unmask", "--runtime", "--quiet", "targetclid.socket"]);
                run("systemctl", &["start", "targetclid.socket"]);
            }
            // It says so when it cannot restore all.
            Party::Target => drop(Command::new("systemctl").args(["start", "target.service"]).output()),
            Party::Mount => mount::start(),
            Party::Network => self.network.up(),
            Party::Spire => self.spire.start_agent(),
        }
    }

    fn all_down(&mut self) {
        stop_target();
        run("systemctl", &["stop", "targetclid.socket", "targetclid.service"]);
        // The agent's unit would start it.
        run("systemctl", &["mask", "--runtime", "--quiet", "targetclid.socket"]);
        mount::stop();
        self.network.down();
        self.spire.stop_agent();
        let _ = std::fs::remove_file(self.spire.socket());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        stop_target();
        let _ = Command::new("systemctl").args(["unmask", "--runtime", "targetclid.socket"]).output();
    }
}

/// As at a shutdown: its last word is to clear LIO.
fn stop_target() {
    let _ = Command::new("systemctl").args(["stop", "target.service"]).output();
}

/// What an initiator sees.
fn map() -> Vec<(u16, String, String)> {
    luns().into_iter().map(|(number, lun)| (number, lun.name, lun.wwn)).collect()
}

/// Number and backstore of each LUN that would come back at a boot.
fn saved_luns() -> BTreeSet<(u64, String)> {
    let saved = std::fs::read(format!("{SAVE_FOLDER}/saveconfig.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    let luns = saved["targets"][0]["tpgs"][0]["luns"].as_array().unwrap().iter();
    luns.map(|lun| (lun["index"].as_u64().unwrap(), lun["storage_object"].to_string())).collect()
}

#[test]
fn lio_r14_the_agent_comes_to_the_same_luns_whoever_is_started_before_and_after_it() {
    let mut site = Site::new();
    let bytes = squashfs(1, 64);
    let add = |id: &str| match id.starts_with("PE/") {
        true => site.node.add_pe(id, &bytes),
        false => site.node.add_image(id, &bytes, 0, true),
    };
    let images: Vec<Image> = IDS.into_iter().map(add).collect();
    // The numbers of the predecessor: no hash gives them.
    images.iter().for_each(project_as_the_predecessor);
    let expected = map();
    let saved = saved_luns();
    run("systemctl", &["stop", "targetclid.service"]);
    clear_target();

    for (before, after) in ORDERS {
        let begun = Instant::now();
        site.all_down();
        before.iter().for_each(|party| site.start(*party));
        let agent = site.agent();
        after.iter().for_each(|party| site.start(*party));
        let all_up = begun.elapsed();
        let seen = agent.passes();
        agent.wait_for_pass(&format!("{before:?}, the agent, {after:?}: converged"), 180, seen, |pass| {
            pass["result"] == "converged" && pass["live"] == IDS.len()
        });
        println!(
            "{before:?}, the agent, {after:?}: all up after {all_up:?}, converged after {:?}",
            begun.elapsed()
        );
        assert_eq!(map(), expected, "{before:?}, the agent, {after:?}");
        agent.stop();
        assert_eq!(saved_luns(), saved, "nothing was forgotten: {before:?}, the agent, {after:?}");
        wait_for("nobody is left", Duration::from_secs(30), || {
            (agent.property("MainPID") == "0").then_some(())
        });
    }
}
