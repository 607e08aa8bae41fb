//! The agent's log as it is written: one program for the whole wait, so that waiting costs the measured ones nothing.

use super::agent::cursor;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// An event of the agent, and when the journal got it.
pub struct Event {
    /// Microseconds since boot (CLOCK_MONOTONIC).
    pub micros: u64,
    /// Its fields.
    pub fields: Value,
}

/// Microseconds since boot, by the same clock; it ticks every 10 ms.
pub fn micros_now() -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let hundredths: String = uptime.split(' ').next().expect("a time").replace('.', "");
    hundredths.parse::<u64>().expect("a time") * 10_000
}

/// The agent's events from the making on.
pub struct Follow {
    journalctl: Child,
    events: Receiver<Event>,
}

impl Follow {
    /// Begins to listen.
    pub fn from_now() -> Self {
        let mut journalctl = Command::new("journalctl")
            .args(["-q", "-f", "--no-tail", "-o", "json", "--after-cursor", &cursor()])
            .args(["-u", "sbps-marshal.service", "-t", "sbps-marshal"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("journalctl");
        let lines = BufReader::new(journalctl.stdout.take().expect("its output")).lines();
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for event in lines.map_while(Result::ok).filter_map(|line| event(&line)) {
                let _ = tell.send(event);
            }
        });
        Follow { journalctl, events }
    }

    /// The next events, up to the first of this name; panics if it does not come in time.
    pub fn until(&self, name: &str, within: Duration) -> Vec<Event> {
        let begun = Instant::now();
        let mut seen = Vec::new();
        loop {
            let left = within.saturating_sub(begun.elapsed());
            let event = self.events.recv_timeout(left);
            let event = event.unwrap_or_else(|_| panic!("no {name} within {} s", within.as_secs()));
            let found = event.fields["event"] == name;
            seen.push(event);
            if found {
                return seen;
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.journalctl.kill();
        let _ = self.journalctl.wait();
    }
}

fn event(line: &str) -> Option<Event> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let micros = entry["__MONOTONIC_TIMESTAMP"].as_str()?.parse().ok()?;
    Some(Event { micros, fields: serde_json::from_str(entry["MESSAGE"].as_str()?).ok()? })
}
