//! The results as Markdown.

use crate::agent::{Alone, Fill};
use crate::predecessor::Sample;
use crate::steady::{Pass, UNITS};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Formatter};

/// The last LUNs of a pass that stand for one LUN at the end.
const LAST: usize = 5;
/// Where the first target is set.
const TARGET_SIZE: usize = 100;

/// What was measured at one number of images.
pub struct Point {
    /// Images.
    pub size: usize,
    /// The agent's first pass.
    pub fill: Fill,
    /// The agent, one image in a pass of its own.
    pub alone: Alone,
    /// The predecessor, one image and again.
    pub one_more: Vec<Sample>,
}

/// Everything.
pub struct Results {
    /// The predecessor from an empty target to the smallest number of images.
    pub predecessor_fill: Vec<Sample>,
    /// By number of images.
    pub points: Vec<Point>,
    /// Passes without a change, at the largest number.
    pub steady: Vec<Pass>,
    /// CPU milliseconds of each pass that the agent's own timer started.
    pub by_timer: Vec<f64>,
    /// The agent's memory after them.
    pub memory: Vec<(String, u64)>,
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.targets(f)?;
        self.filling(f)?;
        self.one_more(f)?;
        self.profile(f)?;
        self.steady(f)
    }
}

impl Results {
    fn targets(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Targets\n\n| target | seen | |\n|:--|:--|:--|")?;
        let mut row = |target: &str, seen: String, met: bool| {
            writeln!(f, "| {target} | {seen} | {} |", if met { "met" } else { "**missed**" })
        };
        if let Some(point) = self.points.iter().find(|point| point.size == TARGET_SIZE) {
            let whole = self.predecessor_to(TARGET_SIZE).1 / point.fill.total;
            let one = per_image(&point.one_more, Sample::total) / at_the_end(&point.fill);
            row(
                ">= 15 times faster per image at N = 100, from an empty target, all included",
                format!("{whole:.1}"),
                whole >= 15.0,
            )?;
            row(
                ">= 15 times faster for the image after the 100th, one of many in a pass",
                format!("{one:.1}"),
                one >= 15.0,
            )?;
        }
        let (read, started) = self
            .steady
            .iter()
            .fold((0, 0), |(read, started), pass| (read + objects_read(pass), started + pass.programs.len()));
        row("steady pass: 0 GetObject by anyone", read.to_string(), read == 0)?;
        row("steady pass: 0 programs started", started.to_string(), started == 0)?;
        let rss = self
            .memory
            .iter()
            .find(|(name, _)| name == "VmRSS")
            .map_or(f64::NAN, |(_, kib)| *kib as f64 / 1024.0);
        row("RSS of the agent <= 40 MB", format!("{rss:.1} MiB"), rss <= 40.0)?;
        writeln!(f)
    }

    fn filling(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## From an empty target to N LUNs\n")?;
        writeln!(
            f,
            "| N | predecessor s | s per image | agent s | s per image | times faster | programs, predecessor | programs, agent |"
        )?;
        writeln!(f, "|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let count = |sample: &Sample| sample.programs.len() as f64;
        let filled: f64 = self.predecessor_fill.iter().map(count).sum();
        for Point { size, fill, one_more, .. } in &self.points {
            let n = *size as f64;
            let (about, predecessor) = self.predecessor_to(*size);
            let programs = filled + (n - self.predecessor_fill.len() as f64) * per_image(one_more, count);
            writeln!(
                f,
                "| {size} | {about}{predecessor:.0} | {:.2} | {:.1} | {:.2} | **{:.1}** | {about}{programs:.0} | {} |",
                predecessor / n,
                fill.total,
                fill.total / n,
                predecessor / fill.total,
                fill.programs.len(),
            )?;
        }
        let most = self.predecessor_fill.iter().chain(self.points.iter().flat_map(|point| &point.one_more));
        writeln!(f, "\nPrograms of the predecessor: {}.", names(most.flat_map(|sample| &sample.programs)))?;
        writeln!(f, "Programs of the agent: {}.", names(self.points.iter().flat_map(|p| &p.fill.programs)))?;
        writeln!(
            f,
            "~: not run to its end, but summed up from the samples below, with straight lines between them.\n"
        )
    }

    fn one_more(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## One more image, when N are there\n")?;
        writeln!(
            f,
            "| N | predecessor s (create, LUN, saveconfig) | samples | agent s, one of many in a pass | times faster | agent s, alone in a pass | times faster |"
        )?;
        writeln!(f, "|--:|--:|:--|--:|--:|--:|--:|")?;
        for Point { size, fill, alone, one_more } in &self.points {
            let all = per_image(one_more, Sample::total);
            let part = |n: usize| per_image(one_more, |sample| sample.seconds[n]);
            let samples: Vec<String> =
                one_more.iter().map(|sample| format!("{:.1}", sample.total())).collect();
            let one = at_the_end(fill);
            writeln!(
                f,
                "| {size} | {all:.1} ({:.1}, {:.1}, {:.1}) | {} | {one:.2} | **{:.1}** | {:.1} | **{:.1}** |",
                part(0),
                part(1),
                part(2),
                samples.join(" "),
                all / one,
                alone.total,
                all / alone.total,
            )?;
        }
        writeln!(f, "\nOne of many: the mean of the pass's last {LAST} LUNs, without its one saveconfig.\n")
    }

    fn profile(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Where the agent's time goes\n")?;
        let verbs: Vec<&str> =
            self.points.iter().take(1).flat_map(|p| &p.alone.commands).map(|(verb, _)| *verb).collect();
        writeln!(
            f,
            "| N | look at IMS, S3, mount s | all LUNs s | targetclid's start, refresh, saveconfig, configfs s | {} |",
            verbs.join(" s | ") + " s"
        )?;
        writeln!(f, "|--:|--:|--:|--:|{}", "--:|".repeat(verbs.len()))?;
        for Point { size, fill, alone, .. } in &self.points {
            let luns = fill.created_ms.iter().sum::<u64>() as f64 / 1e3;
            let commands: Vec<String> = alone.commands.iter().map(|(_, took)| format!("{took:.2}")).collect();
            let rest = fill.apply - luns;
            writeln!(f, "| {size} | {:.1} | {luns:.1} | {rest:.1} | {} |", fill.look, commands.join(" | "))?;
        }
        writeln!(
            f,
            "\nThe first three: the pass from an empty target. The others: one more image, command by command. Where\nroot has no targetcli preferences, targetclid refuses a saveconfig with a backup at once: so one without follows.\n"
        )
    }

    fn steady(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let size = self.points.last().map_or(0, |point| point.size);
        writeln!(f, "## A pass that changes nothing, N = {size}\n")?;
        let row = |f: &mut Formatter<'_>, name: &str, value: &dyn Fn(&Pass) -> String| {
            let values: Vec<String> = self.steady.iter().map(value).collect();
            writeln!(f, "| {name} | {} |", values.join(" | "))
        };
        let heads: Vec<String> = (1..=self.steady.len()).map(|n| format!("pass {n}")).collect();
        writeln!(f, "| | {} |\n|:--|{}", heads.join(" | "), "--:|".repeat(heads.len()))?;
        row(f, "wall ms", &|pass| format!("{:.0}", pass.wall_ms))?;
        for (n, unit) in UNITS.iter().enumerate() {
            row(f, &format!("CPU ms, {unit}"), &|pass| format!("{:.0}", pass.cpu_ms[n]))?;
        }
        let own: Vec<String> = self.by_timer.iter().map(|took| format!("{took:.0}")).collect();
        writeln!(f, "| CPU ms, sbps-marshal, a pass of its timer | {} |", own.join(" | "))?;
        let requests: BTreeSet<_> = self.steady.iter().flat_map(|pass| pass.s3.keys()).collect();
        for request in requests {
            let (client, operation) = request;
            row(f, &format!("S3 {operation}, {client}"), &|pass| count(pass.s3.get(request)))?;
        }
        row(f, "S3 GetObject, anyone", &|pass| objects_read(pass).to_string())?;
        row(f, "IMS requests", &|pass| pass.ims.to_string())?;
        row(f, "programs started, whole VM", &|pass| pass.programs.len().to_string())?;
        let started = self.steady.iter().flat_map(|pass| &pass.programs);
        if started.clone().next().is_some() {
            writeln!(f, "\nPrograms: {}.", names(started))?;
        }
        writeln!(
            f,
            "\nThe others follow a SIGHUP, after which the settings and the system's roots are read anew."
        )?;
        let memory: Vec<String> =
            self.memory.iter().map(|(name, kib)| format!("{name} {:.1} MiB", *kib as f64 / 1024.0)).collect();
        writeln!(f, "\nMemory of the agent afterwards: {}.", memory.join(", "))
    }

    /// Seconds from an empty target: measured for the smallest number; for others `~`, the sum over the samples.
    fn predecessor_to(&self, size: usize) -> (&'static str, f64) {
        let fill = &self.predecessor_fill;
        let measured: f64 = fill.iter().map(Sample::total).sum();
        if size == fill.len() {
            return ("", measured);
        }
        let last = &fill[fill.len().saturating_sub(LAST)..];
        let mut sum = measured;
        let (mut from, mut cost) = (fill.len(), per_image(last, Sample::total));
        for point in self.points.iter().filter(|point| point.size > fill.len() && point.size <= size) {
            let next = per_image(&point.one_more, Sample::total);
            sum += (point.size - from) as f64 * (cost + next) / 2.0;
            (from, cost) = (point.size, next);
        }
        ("~", sum)
    }
}

fn objects_read(pass: &Pass) -> usize {
    pass.s3.iter().filter(|((_, operation), _)| operation == "GetObject").map(|(_, count)| count).sum()
}

fn at_the_end(fill: &Fill) -> f64 {
    let last = fill.created_ms.iter().rev().take(LAST);
    last.clone().sum::<u64>() as f64 / 1e3 / last.len() as f64
}

fn per_image(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(value).sum::<f64>() / samples.len() as f64
}

fn count(found: Option<&usize>) -> String {
    found.copied().unwrap_or_default().to_string()
}

/// `3 /usr/bin/targetcli, 1 /bin/sh`.
fn names<'a>(programs: impl Iterator<Item = &'a String>) -> String {
    let mut counts = BTreeMap::new();
    programs.for_each(|program| *counts.entry(program).or_insert(0) += 1);
    counts.iter().map(|(program, count)| format!("{count} {program}")).collect::<Vec<_>>().join(", ")
}
