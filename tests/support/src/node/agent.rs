//! The agent under systemd, with the unit that is shipped.

use super::{Node, run, wait_for};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

/// Its unit.
pub const UNIT: &str = "sbps-marshal.service";
const CONFIG: &str = "/etc/sbps-marshal/config.toml";
/// Seconds between passes, and between looks at the tags: short, so that tests need not wait; not so short that
/// passes follow each other without a pause.
const SCAN: u32 = 15;

/// The agent of this VM.
pub struct Agent {
    /// Where the journal was when it was started.
    cursor: String,
}

/// A `pass_summary` of the log.
pub type Summary = Value;

impl Agent {
    /// Installs the agent, configured for `node`, with further `[section]` lines; does not start it.
    pub fn install(node: &Node, more: &str) {
        let _ = fs::remove_file("/usr/bin/sbps-marshal");
        fs::copy("/run/vm/bin/sbps-marshal", "/usr/bin/sbps-marshal").expect("the program in /run/vm/bin");
        fs::copy("/vm/sbps-marshal.service", format!("/etc/systemd/system/{UNIT}")).expect("the unit in /vm");
        run("systemctl", &["daemon-reload"]);
        Agent::configure(node, more);
    }

    /// Writes the configuration: these lines, and a default for each key that they do not name.
    pub fn configure(node: &Node, more: &str) {
        let defaults = [
            ("scan.frequency", SCAN.to_string()),
            ("scan.tag_frequency", "2".to_owned()),
            ("guard.confirm_after", "2".to_owned()),
            ("ims.gateway", format!("\"{}\"", node.ims.gateway())),
            ("s3.host", format!("{:?}", node.bucket.server().host())),
            ("s3.proto", "\"http\"".to_owned()),
        ];
        let names = |key: &str| more.lines().any(|line| line.split('=').next().unwrap_or("").trim() == key);
        let mut text = String::new();
        for (key, value) in defaults.iter().filter(|(key, _)| !names(key)) {
            text += &format!("{key} = {value}\n");
        }
        fs::create_dir_all("/etc/sbps-marshal").expect("the configuration's folder");
        fs::write(CONFIG, text + more + "\n").expect("the configuration");
    }

    /// Installs and starts it; returns when systemd says that it is ready.
    pub fn start(node: &Node, more: &str) -> Self {
        Agent::install(node, more);
        Agent::start_installed()
    }

    /// Starts the one that is installed.
    pub fn start_installed() -> Self {
        let cursor = cursor();
        run("systemctl", &["start", UNIT]);
        Agent { cursor }
    }

    /// The one that is installed, or will be: what it says from now on.
    pub fn watch_installed() -> Self {
        Agent { cursor: cursor() }
    }

    /// Runs a subcommand of the installed agent to its end.
    pub fn command(arguments: &[&str]) -> Output {
        let timeout = ["--kill-after=5", "600", "/usr/bin/sbps-marshal"];
        let agent = Command::new("timeout").args(timeout).args(arguments).output();
        agent.expect("the agent's program")
    }

    /// Sends SIGHUP, by `systemctl reload`.
    pub fn reload(&self) {
        run("systemctl", &["reload", UNIT]);
    }

    /// Stops it; panics if it did not end by itself with exit code 0.
    pub fn stop(&self) {
        run("systemctl", &["stop", UNIT]);
        let show = run("systemctl", &["show", "-p", "Result,ExecMainStatus", UNIT]);
        assert!(show.contains("Result=success") && show.contains("ExecMainStatus=0"), "{show}");
    }

    /// One property of the unit, as `MainPID`.
    pub fn property(&self, name: &str) -> String {
        run("systemctl", &["show", "--value", "-p", name, UNIT]).trim().to_owned()
    }

    /// What systemd has said of it since it was started.
    pub fn said_by_systemd(&self) -> String {
        let since = ["-q", "-o", "cat", "--no-pager", "--after-cursor", &self.cursor];
        run("journalctl", &[since.as_slice(), &["-u", UNIT, "_PID=1"]].concat())
    }

    /// Every event since it was started. A line that is no JSON object fails the test.
    pub fn events(&self) -> Vec<Value> {
        let lines = run(
            "journalctl",
            &[
                "-q",
                "-o",
                "json",
                "--after-cursor",
                &self.cursor,
                "-u",
                UNIT,
                "-t",
                "sbps-marshal",
                "--no-pager",
            ],
        );
        let line = |line: &str| -> Option<Value> {
            let entry: Value = serde_json::from_str(line).expect("a journal entry");
            let message = entry["MESSAGE"].as_str()?.to_owned();
            Some(serde_json::from_str(&message).unwrap_or_else(|error| panic!("{message}: {error}")))
        };
        lines.lines().filter_map(line).collect()
    }

    /// The events of one name.
    pub fn events_of(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// Waits for a pass that ends after the `seen` first ones and satisfies the condition.
    pub fn wait_for_pass(
        &self,
        what: &str,
        seconds: u64,
        seen: usize,
        good: impl Fn(&Summary) -> bool,
    ) -> Summary {
        wait_for(what, Duration::from_secs(seconds), || {
            self.events_of("pass_summary").into_iter().skip(seen).find(&good)
        })
    }

    /// How many passes have ended.
    pub fn passes(&self) -> usize {
        self.events_of("pass_summary").len()
    }

    /// Waits until a pass says that all is as it should be, with so many LUNs.
    pub fn wait_until_converged(&self, live: usize, seconds: u64) -> Summary {
        self.wait_for_pass(&format!("converged with {live} LUNs"), seconds, 0, |summary| {
            summary["result"] == "converged" && summary["live"] == live
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", UNIT]).output();
    }
}

/// Where the journal is now.
pub(super) fn cursor() -> String {
    let shown = run("journalctl", &["-q", "-n", "1", "--show-cursor", "-o", "cat", "--no-pager"]);
    let cursor = shown.lines().find_map(|line| line.strip_prefix("-- cursor: "));
    cursor.expect("a journal cursor").to_owned()
}
