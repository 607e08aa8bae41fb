//! From a tag to its LUN: ten images by polling alone, with the default frequencies, and ten with a SIGHUP right after.

use crate::agent::{self, Bench};
use std::fmt::{self, Formatter};
use std::time::{Duration, Instant};
use support::node::{Event, Image, Node, has_lun_of};

/// Images of each way.
pub const SAMPLES: usize = 10;
/// More than two full passes apart: nothing that works takes longer.
const PATIENCE: Duration = Duration::from_secs(400);
/// From one look at configfs to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What is aimed at: by polling, and after SIGHUP.
const TARGETS: [f64; 2] = [20.0, 2.0];

/// What one tag took.
pub struct Sample {
    /// From the change of the record to the LUN in configfs.
    seconds: f64,
    /// Of these, the pass: to the first command for LIO, and from there to the LUN.
    look: f64,
    commands: f64,
    /// Each command, with what comes before it: the first with the turn at the daemon.
    each: Vec<(&'static str, f64)>,
}

/// Both ways, at this number of LUNs before.
pub struct Latency {
    live: usize,
    tag_frequency: f64,
    polled: Vec<Sample>,
    told: Vec<Sample>,
}

/// Tags these images one after the other, which the agent does not project yet.
pub fn measure(agent: &Bench, node: &Node, live: usize, images: &[(String, Image)]) -> Latency {
    agent.passes_as_by_default();
    let tag_frequency = agent::default_seconds("scan.tag_frequency");
    let (polled, told) = images.split_at(SAMPLES);
    let polled = polled.iter().enumerate().map(|(n, image)| {
        // At another moment of the interval each time, the first right after a look.
        let asked = node.ims.asked();
        while node.ims.asked() == asked {
            std::thread::sleep(LOOK_EVERY);
        }
        std::thread::sleep(Duration::from_secs_f64(tag_frequency * n as f64 / SAMPLES as f64));
        tag(agent, node, image, false)
    });
    let polled = polled.collect();
    let told = told.iter().map(|image| tag(agent, node, image, true)).collect();
    Latency { live, tag_frequency, polled, told }
}

fn tag(agent: &Bench, node: &Node, (id, image): &(String, Image), with_signal: bool) -> Sample {
    let begun = Instant::now();
    node.ims.tag(id, true);
    if with_signal {
        agent.signal();
    }
    while !has_lun_of(&image.name) {
        assert!(begun.elapsed() < PATIENCE, "no LUN of {id}");
        std::thread::sleep(LOOK_EVERY);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let events = agent.events_of_a_pass_that_adds(PATIENCE);
    let (look, commands) = parts(&events);
    Sample { seconds, look, commands, each: agent::commands(&events) }
}

/// From the reason of the pass to the first command, and from there to the LUN.
fn parts(events: &[Event]) -> (f64, f64) {
    let at = |name: &str| events.iter().rfind(|event| event.fields["event"] == name);
    let added = at("lun_added").expect("the LUN");
    let reason = at("resync").or(at("tags_changed")).map_or(added.micros, |event| event.micros);
    let commands = added.fields["duration_ms"].as_f64().unwrap_or_default() / 1e3;
    (agent::seconds(reason, added.micros) - commands, commands)
}

fn median(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    (values[middle] + values[(values.len() - 1) / 2]) / 2.0
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Latency { live, tag_frequency, polled, told } = self;
        writeln!(f, "## From a tag to its LUN\n")?;
        writeln!(
            f,
            "From the change of the record in IMS to the LUN in configfs, beside {live} and more LUNs, one image after the"
        )?;
        writeln!(
            f,
            "other. By polling alone: the default frequencies (`scan.tag_frequency` {tag_frequency}), the tags at ten moments of the interval.\n"
        )?;
        writeln!(
            f,
            "| | median s | worst of {SAMPLES} s | target s | | of the median: look at all sources s | commands s |"
        )?;
        writeln!(f, "|:--|--:|--:|--:|:--|--:|--:|")?;
        let ways = [("by polling alone", polled), ("SIGHUP right after the tag", told)];
        for ((way, samples), target) in ways.into_iter().zip(TARGETS) {
            let worst = samples.iter().map(|sample| sample.seconds).fold(0.0, f64::max);
            let met = if worst <= target { "met" } else { "**missed**" };
            writeln!(
                f,
                "| {way} | {:.1} | **{worst:.1}** | {target} | {met} | {:.1} | {:.1} |",
                median(samples, |sample| sample.seconds),
                median(samples, |sample| sample.look),
                median(samples, |sample| sample.commands),
            )?;
        }
        for (way, samples) in [("Polling", polled), ("SIGHUP", told)] {
            let all: Vec<String> = samples.iter().map(|sample| format!("{:.1}", sample.seconds)).collect();
            writeln!(f, "\n{way}: {}.", all.join(" "))?;
        }
        let commands = ["create backstore", "set alias", "create LUN"].map(|verb| {
            let of = |sample: &Sample| {
                sample.each.iter().filter(|(found, _)| *found == verb).map(|(_, s)| s).sum()
            };
            format!("{verb} {:.2}", median(told, of))
        });
        let rest = median(told, |sample| sample.seconds - sample.look - sample.commands);
        writeln!(
            f,
            "\nAfter SIGHUP, medians in s: until the pass begins and until the LUN is seen {rest:.2}, {}.\n",
            commands.join(", ")
        )
    }
}
