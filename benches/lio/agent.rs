//! This agent's way: the daemon under systemd, as it is shipped.

use std::time::Duration;
use support::node::{Agent, DropIn, Event, Execs, Follow, Node, UNIT};

/// A day, s: no pass of its own falls into a measurement.
const NEVER: u32 = 86_400;
/// However long S3 lists on an emulated CPU, it is waited for.
const PATIENT: &str = "s3.timeout = 600\n";
/// What the engine `configfs` needs.
const DROP_IN: &str = include_str!("../../systemd/lio-engine-configfs.conf");
/// Each command with its answer.
const LIO_IN_DETAIL: &str = "log.level = \"sbps_marshal::lio=debug,info\"\n";
/// The largest target takes minutes on an emulated CPU.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A target is filled in these, however far S3 is.
const MOST_PASSES: usize = 10;
/// What the bench itself starts.
const OURS: [&str; 3] = ["timeout", "systemctl", "journalctl"];

/// The agent with its log.
pub struct Bench {
    /// Stopped when dropped.
    _agent: Agent,
    _drop_in: DropIn,
    log: Follow,
    pid: String,
    fill: Fill,
}

/// Images that are added one by one to a target that is full.
pub const ALONE: usize = 2;

/// What an empty target took.
#[derive(Clone)]
pub struct Fill {
    /// From the start of the process to the first LUN's first command.
    pub look: f64,
    /// Of each LUN, in the order in which they came.
    pub created_ms: Vec<u64>,
    /// All that LIO took.
    pub apply: f64,
    /// From the start of the process to the last LUN.
    pub live: f64,
    /// From the start of the process to "converged".
    pub total: f64,
    /// How many passes it took: a look that is not over after a minute goes on in the next one.
    pub passes: usize,
    /// Programs that were started from the agent itself on, but for the bench's own.
    pub programs: Vec<String>,
}

/// What one more image took, in a pass of its own by an agent that has run before.
pub struct Alone {
    /// From the signal to "converged".
    pub total: f64,
    /// From the end of the look to its LUN.
    pub to_live: f64,
    /// Commands and what they took, the agent's reading of configfs included.
    pub commands: Vec<(&'static str, f64)>,
}

impl Bench {
    /// Starts the agent, with this engine, on an empty target and waits until it has converged.
    pub fn fill(node: &Node, execs: &Execs, engine: &str) -> Self {
        configure("engine", &format!("lio.engine = {engine:?}\n"));
        scan_every(NEVER);
        configure("level", "");
        let drop_in = DropIn::of(UNIT, DROP_IN);
        let log = Follow::from_now();
        let before = execs.started().len();
        let agent = Agent::start(node, "");
        let mut events = log.until("pass_summary", PATIENCE);
        for _ in 1..MOST_PASSES {
            if events.last().is_some_and(|summary| summary.fields["result"] != "converged") {
                events.extend(log.until("pass_summary", PATIENCE));
            }
        }
        let mut programs = execs.started().split_off(before);
        let start = programs.iter().position(|program| program.ends_with("/sbps-marshal"));
        programs.drain(..start.expect("the agent among the programs"));
        programs.retain(|program| !ours(program));
        let end = events.last().expect("the summary");
        assert_eq!(end.fields["result"], "converged", "{}", end.fields);
        let started = agent.property("ExecMainStartTimestampMonotonic").parse().expect("microseconds");
        let passes: Vec<_> = events.iter().filter(|event| event.fields["event"] == "pass_summary").collect();
        let apply = passes.iter().map(|pass| millis(&pass.fields["apply_ms"])).sum::<u64>() as f64 / 1e3;
        let added = || events.iter().filter(|event| event.fields["event"] == "lun_added");
        let total = seconds(started, end.micros);
        let live = added().next_back().map_or(total, |last| seconds(started, last.micros));
        let created_ms = added().map(|event| millis(&event.fields["duration_ms"])).collect();
        let (look, passes) = (total - apply, passes.len());
        println!("  look {look:.1} s, all live after {live:.1} s, saved after {total:.1} s, {passes} passes");
        let fill = Fill { look, created_ms, apply, live, total, passes, programs };
        let pid = agent.property("MainPID");
        Bench { _agent: agent, _drop_in: drop_in, log, pid, fill }
    }

    /// What the first pass took.
    pub fn filled(&self) -> Fill {
        self.fill.clone()
    }

    /// SIGHUP, without starting a program for it.
    pub fn signal(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid.parse().expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("SIGHUP");
    }

    /// All events up to the end of the next pass that adds a LUN.
    pub fn events_of_a_pass_that_adds(&self, within: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            events.extend(self.log.until("pass_summary", within));
            if events.last().is_some_and(|summary| summary.fields["added"] != 0) {
                return events;
            }
        }
    }

    /// Causes a pass; its events, from the signal's on.
    pub fn pass(&self) -> Vec<Event> {
        self.signal();
        let mut events = self.log.until("pass_summary", PATIENCE);
        let resync = events.iter().position(|event| event.fields["event"] == "resync");
        events.drain(..resync.unwrap_or(0));
        assert_eq!(events.last().expect("the summary").fields["result"], "converged");
        events
    }

    /// From now on it passes by itself, after so many seconds each.
    pub fn passes_every(&self, seconds: u32) {
        scan_every(seconds);
        self.pass();
    }

    /// From now on it passes and looks at the tags by itself, as often as an agent that is not configured.
    pub fn passes_as_by_default(&self) {
        let line = |key: &str| format!("{key} = {}\n", default_seconds(key));
        configure("level", LIO_IN_DETAIL);
        configure("bench", &(line("scan.frequency") + &line("scan.tag_frequency")));
        self.pass();
    }

    /// Waits for a pass of its own timer.
    pub fn own_pass(&self) {
        self.log.until("pass_summary", PATIENCE);
    }

    /// Ends that.
    pub fn passes_no_more(&self) {
        scan_every(NEVER);
        self.pass();
    }

    /// The agent's process.
    pub fn pid(&self) -> &str {
        &self.pid
    }

    /// Tags two more images, one after the other: what the pass of the first takes, and command by command that of the second.
    pub fn one_more(&self, node: &Node, ids: [&str; ALONE]) -> Alone {
        let [id, in_detail] = ids;
        let events = self.adds(node, id);
        let (first, last) = (&events[0], events.last().expect("the summary"));
        let looked = last.micros - millis(&last.fields["apply_ms"]) * 1000;
        let added = events.iter().find(|event| event.fields["event"] == "lun_added").expect("the LUN");
        let (total, to_live) = (seconds(first.micros, last.micros), seconds(looked, added.micros));
        // New settings start the actors anew, with a pass that changes nothing: they do not know what targetclid knows, and it
        // has to read its tree anew.
        configure("level", LIO_IN_DETAIL);
        self.pass();
        Alone { total, to_live, commands: commands(&self.adds(node, in_detail)) }
    }

    /// The events of the pass that adds this image alone.
    fn adds(&self, node: &Node, id: &str) -> Vec<Event> {
        node.ims.tag(id, true);
        let events = self.pass();
        let summary = &events.last().expect("the summary").fields;
        assert_eq!(summary["added"], 1, "{summary}");
        events
    }
}

/// From one answer of targetclid to the next; to the first, from the beginning of the change.
pub fn commands(events: &[Event]) -> Vec<(&'static str, f64)> {
    let added = events.iter().find(|event| event.fields["event"] == "lun_added").expect("the LUN");
    let begun = added.micros - millis(&added.fields["duration_ms"]) * 1000;
    let took = events.windows(2).filter_map(|pair| {
        let fields = &pair[1].fields;
        let told = fields["command"].as_str().map(verb);
        let what = told.or_else(|| fields["written"].as_str().map(|_| written(&fields["step"])))?;
        Some((what, seconds(pair[0].micros.max(begun), pair[1].micros)))
    });
    took.collect()
}

/// What a command does.
fn verb(command: &str) -> &'static str {
    match command {
        _ if command.contains("/./saveconfig") => "saveconfig without backup",
        _ if command.contains(" saveconfig ") => "saveconfig",
        _ if command.contains(" refresh") => "refresh",
        _ if command.contains(" set attribute ") => "set alias",
        _ if command.starts_with("/iscsi/") => "create LUN",
        _ => "create backstore",
    }
}

/// What a step does that was written.
fn written(step: &serde_json::Value) -> &'static str {
    match step.as_str().unwrap_or_default() {
        step if step.starts_with("create backstore") => "create backstore",
        step if step.starts_with("set ") => "set alias",
        _ => "create LUN",
    }
}

/// Passes by itself after so many seconds each, and no look at the tags in between.
fn scan_every(seconds: u32) {
    let scan = format!("scan.frequency = {seconds}\nscan.tag_frequency = {NEVER}\n{PATIENT}");
    configure("bench", &scan);
}

fn configure(name: &str, text: &str) {
    let folder = "/etc/sbps-marshal/conf.d";
    std::fs::create_dir_all(folder).expect("the configuration's folder");
    std::fs::write(format!("{folder}/{name}.toml"), text).expect("the configuration");
}

fn ours(program: &str) -> bool {
    OURS.iter().any(|ours| program.rsplit('/').next() == Some(ours))
}

fn millis(value: &serde_json::Value) -> u64 {
    value.as_u64().expect("milliseconds")
}

/// The default of a key that is a time.
pub fn default_seconds(key: &str) -> f64 {
    let row = sbps_marshal::config::KEYS.iter().find(|row| row.name == key).expect("a key");
    row.default.parse().expect("seconds")
}

/// Between two times of the same clock.
pub fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}
