//! A pass that finds everything as it should be.

use crate::agent::{self, Bench};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use support::node::{Execs, Node};

/// Those whose CPU time is told.
pub const UNITS: [&str; 4] = ["sbps-marshal", "targetclid", "s3fs-boot-images", "versitygw"];

/// Longer than a pass takes, s.
const TIMER: u32 = 10;

/// What one pass took.
pub struct Pass {
    /// From `resync` to `pass_summary`.
    pub wall_ms: f64,
    /// User and system, of each unit.
    pub cpu_ms: [f64; 4],
    /// S3 requests by client and operation.
    pub s3: BTreeMap<(&'static str, String), usize>,
    /// Requests to IMS.
    pub ims: usize,
    /// Programs that the whole VM started.
    pub programs: Vec<String>,
}

/// Passes at one number of images.
pub struct Steady {
    pub images: usize,
    /// Objects of others in the bucket.
    pub foreign: usize,
    /// After a SIGHUP each, after which settings and the system's roots are read anew.
    pub passes: Vec<Pass>,
    /// CPU milliseconds of the agent in each pass that its own timer started; none beside objects of others.
    pub by_timer: Vec<f64>,
    /// The agent's memory afterwards: name and KiB.
    pub memory: Vec<(String, u64)>,
}

/// Measures so many passes, and as many of the agent's own; of those one, if its timer has to wait for long.
pub fn measure(
    agent: &Bench,
    node: &Node,
    execs: &Execs,
    images: usize,
    foreign: usize,
    count: usize,
) -> Steady {
    // Beside so many objects a pass takes minutes on an emulated CPU.
    let count = if foreign == 0 { count } else { 1 };
    let passes = (0..count).map(|_| pass(agent, node, execs)).collect();
    let by_timer = if foreign == 0 { by_timer(agent, count) } else { Vec::new() };
    Steady { images, foreign, passes, by_timer, memory: memory(agent) }
}

/// Objects that are nobody's image, as the S3 server keeps them: uploaded they would take an hour.
pub fn add_foreign(count: usize) {
    let folder = "/srv/s3/boot-images/of-others";
    fs::create_dir_all(folder).expect("the server's folder");
    (0..count).for_each(|n| fs::write(format!("{folder}/{n:06}"), b"x").expect("an object"));
}

/// They are gone.
pub fn remove_foreign() {
    fs::remove_dir_all("/srv/s3/boot-images/of-others").expect("the server's folder");
}

/// Causes and measures one pass.
fn pass(agent: &Bench, node: &Node, execs: &Execs) -> Pass {
    node.ims_requests();
    let line = node.bucket.access_log(0).len();
    let started = execs.started().len();
    let before = UNITS.map(cpu_ms);
    let events = agent.pass();
    let after = UNITS.map(cpu_ms);
    // The server logs a request after it has answered it.
    std::thread::sleep(Duration::from_secs(1));
    let (first, last) = (&events[0], events.last().expect("the summary"));
    let mut s3 = BTreeMap::new();
    for line in node.bucket.access_log(line) {
        *s3.entry(request(&line)).or_insert(0) += 1;
    }
    Pass {
        wall_ms: agent::seconds(first.micros, last.micros) * 1e3,
        cpu_ms: std::array::from_fn(|unit| after[unit] - before[unit]),
        s3,
        ims: node.ims_requests(),
        programs: execs.started().split_off(started),
    }
}

/// CPU milliseconds of the agent from the end of a pass to the end of the next, which its timer starts.
fn by_timer(agent: &Bench, passes: usize) -> Vec<f64> {
    agent.passes_every(TIMER);
    let mut before = cpu_ms(UNITS[0]);
    let took = (0..passes).map(|_| {
        agent.own_pass();
        let now = cpu_ms(UNITS[0]);
        now - std::mem::replace(&mut before, now)
    });
    let took = took.collect();
    agent.passes_no_more();
    took
}

/// The agent's memory as the kernel shows it: name and KiB.
fn memory(agent: &Bench) -> Vec<(String, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("the agent's status");
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let found = lines.filter(|(name, _)| ["VmRSS", "RssAnon", "RssFile", "VmHWM"].contains(name));
    found
        .filter_map(|(name, value)| {
            Some((name.to_owned(), value.trim_end_matches("kB").trim().parse().ok()?))
        })
        .collect()
}

/// The unit's CPU time so far; 0 if it does not run.
fn cpu_ms(unit: &str) -> f64 {
    let stat = fs::read_to_string(format!("/sys/fs/cgroup/system.slice/{unit}.service/cpu.stat"));
    let stat = stat.unwrap_or_default();
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
    micros.unwrap_or(0.0) / 1e3
}

/// Client and operation of a line of the access log.
fn request(line: &str) -> (&'static str, String) {
    let client = match line {
        _ if line.contains(" s3fs/") => "s3fs",
        _ if line.contains(" aws-sdk-rust/") => "agent",
        _ => "other",
    };
    (client, line.split(' ').nth(7).unwrap_or_default().trim_start_matches("s3_").to_owned())
}
