//! The results as Markdown, and as numbers to be drawn.

use crate::agent::{Alone, Fill};
use crate::far::Far;
use crate::predecessor::Sample;
use crate::steady::{Pass, Steady, UNITS};
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

/// The last LUNs of a pass that stand for one LUN at the end.
const LAST: usize = 5;
/// Where the targets are set.
const TARGET_SIZE: usize = 100;

/// One engine of the agent at one number of images.
pub struct Run {
    /// Its first pass.
    pub fill: Fill,
    /// One image in a pass of its own.
    pub alone: Alone,
}

impl Run {
    /// Seconds of all its LUNs.
    fn luns(&self) -> f64 {
        self.fill.created_ms.iter().sum::<u64>() as f64 / 1e3
    }

    /// Seconds of one LUN of many.
    fn one_of_many(&self) -> f64 {
        let last = self.fill.created_ms.iter().rev().take(LAST);
        last.clone().sum::<u64>() as f64 / 1e3 / last.len() as f64
    }
}

/// What was measured at one number of images.
pub struct Point {
    /// Images.
    pub size: usize,
    /// The bare writes.
    pub limit: f64,
    /// The agent that writes configfs.
    pub direct: Run,
    /// The agent that tells targetclid.
    pub told: Option<Run>,
    /// The predecessor, one image and again.
    pub one_more: Vec<Sample>,
}

/// Everything.
pub struct Results {
    /// The predecessor from an empty target to the smallest number of images.
    pub predecessor_fill: Vec<Sample>,
    /// By number of images.
    pub points: Vec<Point>,
    /// Passes without a change.
    pub passes: Vec<Steady>,
    /// Looks with S3 far away; `None`: not yet.
    pub far: Option<Far>,
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.targets(f)?;
        self.filling(f)?;
        self.one_more(f)?;
        self.profile(f)?;
        self.far.as_ref().map_or(Ok(()), |far| far_away(far, f))?;
        steady(&self.passes, f)
    }
}

/// Passes without a change, by themselves.
pub struct Passes(pub Vec<Steady>);

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        steady(&self.0, f)
    }
}

impl Results {
    /// Seconds for each image, of the four ways, by number of images: what the plot is drawn of.
    pub fn numbers(&self) -> serde_json::Value {
        let per_image = |seconds: f64, size: usize| seconds / size as f64;
        let ways = self.points.iter().map(|point| {
            let told = point.told.as_ref().map(|run| per_image(run.fill.total, point.size));
            let predecessor = self.predecessor_to(point.size).map(|(_, s)| per_image(s, point.size));
            serde_json::json!({
                "images": point.size,
                "predecessor": predecessor,
                "targetclid": told,
                "configfs": per_image(point.direct.fill.total, point.size),
                "bare writes": per_image(point.limit, point.size),
            })
        });
        ways.collect()
    }

    fn targets(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Targets\n\n| target | seen | |\n|:--|--:|:--|")?;
        let mut row = |target: &str, seen: String, met: bool| {
            writeln!(f, "| {target} | {seen} | {} |", if met { "met" } else { "**missed**" })
        };
        let mut times = |target: &str, seen: f64, least: f64| {
            row(&format!("{target}: >= {least:.0} times faster"), format!("{seen:.1}"), seen >= least)
        };
        if let Some(point) = self.points.iter().find(|point| point.size == TARGET_SIZE)
            && let (Some(told), Some((_, whole))) = (&point.told, self.predecessor_to(TARGET_SIZE))
        {
            let all = per_image(&point.one_more, Sample::total);
            let live = per_image(&point.one_more, to_live);
            let all_live = |run: &Run| format!("{:.1} until all are live", whole / run.fill.live);
            let target = |engine, run| format!("from an empty target to 100, {engine} ({})", all_live(run));
            times(&target("targetclid", told), whole / told.fill.total, 16.0)?;
            times(&target("configfs", &point.direct), whole / point.direct.fill.total, 60.0)?;
            // The agent saves once for all of them.
            let many = |engine: &str, run: &Run| {
                let unsaved = live / run.one_of_many();
                format!(
                    "one image of many at N = 100, {engine} ({unsaved:.1} without the predecessor's saveconfig)"
                )
            };
            times(&many("targetclid", told), all / told.one_of_many(), 17.0)?;
            times(&many("configfs", &point.direct), all / point.direct.one_of_many(), 300.0)?;
            times(
                "one image alone at N = 100, until its LUN is live, targetclid",
                live / told.alone.to_live,
                5.0,
            )?;
            times(
                "one image alone at N = 100, until its LUN is live, configfs",
                live / point.direct.alone.to_live,
                100.0,
            )?;
        }
        for point in &self.points {
            let (size, seen) = (point.size, point.direct.luns() / point.limit);
            row(
                &format!("LUNs by configfs: <= 2 times the bare writes, N = {size}"),
                format!("{seen:.2}"),
                seen <= 2.0,
            )?;
        }
        let at = |size| self.points.iter().find(|point| point.size == size);
        if let (Some(small), Some(large)) = (at(TARGET_SIZE), self.points.last()) {
            let each = |point: &Point| point.direct.luns() / point.size as f64;
            let (seen, size) = (each(large) / each(small), large.size);
            row(
                &format!("a LUN by configfs at N = {size}: <= 1.2 times one at N = {TARGET_SIZE}"),
                format!("{seen:.2}"),
                seen <= 1.2,
            )?;
        }
        if let Some(far) = &self.far {
            let looked = format!("{:.1} s, PE images {:.1} s", far.rootfs.look, far.pe.look);
            let target = format!("a look at {} images, S3 50 ms away: <= 3 s", far.images);
            row(&target, looked, far.rootfs.look <= 3.0)?;
        }
        let passes = || self.passes.iter().flat_map(|steady| &steady.passes);
        let (read, started) = passes()
            .fold((0, 0), |(read, started), pass| (read + objects_read(pass), started + pass.programs.len()));
        row("steady passes: 0 GetObject by anyone", read.to_string(), read == 0)?;
        row("steady passes: 0 programs started", started.to_string(), started == 0)?;
        for steady in self.passes.iter().filter(|steady| steady.images <= 400) {
            let rss = steady.memory.iter().find(|(name, _)| name == "VmRSS");
            let rss = rss.map_or(f64::NAN, |(_, kib)| *kib as f64 * 1024.0 / 1e6);
            let (images, foreign) = (steady.images, steady.foreign);
            row(
                &format!("RSS of the agent <= 25 MB, N = {images}, {foreign} foreign objects"),
                format!("{rss:.1} MB"),
                rss <= 25.0,
            )?;
        }
        writeln!(f)
    }

    fn filling(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## From an empty target to N LUNs\n")?;
        writeln!(f, "![Seconds for each image](per-image.svg)\n")?;
        writeln!(
            f,
            "| N | predecessor s | targetclid s | times faster | configfs s | times faster | bare writes s | s per image: targetclid | configfs | bare writes |"
        )?;
        writeln!(f, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for point in &self.points {
            let (n, direct) = (point.size as f64, point.direct.fill.total);
            let predecessor = self.predecessor_to(point.size);
            let shown = predecessor.map_or("".into(), |(about, s)| format!("{about}{s:.0}"));
            let times =
                |seconds: f64| predecessor.map_or("".into(), |(_, s)| format!("**{:.1}**", s / seconds));
            let told = point.told.as_ref().map(|run| run.fill.total);
            writeln!(
                f,
                "| {} | {shown} | {} | {} | {direct:.1} | {} | {:.1} | {} | {:.3} | {:.3} |",
                point.size,
                told.map_or("".into(), |s| format!("{s:.1}")),
                told.map_or("".into(), times),
                times(direct),
                point.limit,
                told.map_or("".into(), |s| format!("{:.3}", s / n)),
                direct / n,
                point.limit / n,
            )?;
        }
        let count = |fill: &Fill| fill.programs.len();
        let direct: usize = self.points.iter().map(|point| count(&point.direct.fill)).sum();
        let told: usize = self.points.iter().flat_map(|point| &point.told).map(|run| count(&run.fill)).sum();
        let most = self.predecessor_fill.iter().chain(self.points.iter().flat_map(|point| &point.one_more));
        writeln!(f, "\nPrograms of the predecessor: {}.", names(most.flat_map(|sample| &sample.programs)))?;
        writeln!(f, "Programs of the agent in all its runs: {told} by targetclid, {direct} by configfs.")?;
        writeln!(
            f,
            "~: not run to its end, but summed up from the samples below, with straight lines between them.\n"
        )
    }

    fn one_more(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## One more image, when N are there\n")?;
        writeln!(
            f,
            "Of many: the mean of the pass's last {LAST} LUNs, without its one saveconfig; the predecessor saves after each. Alone:\na pass of its own by an agent that has run before, from the end of its look until its"
        )?;
        writeln!(f, "LUN is live, and until all is told and saved.\n")?;
        writeln!(
            f,
            "| N | predecessor s (create, LUN, saveconfig) | samples | of many, targetclid s | configfs s | alone until live, targetclid s | configfs s | alone in all, targetclid s | configfs s |"
        )?;
        writeln!(f, "|--:|--:|:--|--:|--:|--:|--:|--:|--:|")?;
        for point in &self.points {
            let all = per_image(&point.one_more, Sample::total);
            let part = |n: usize| per_image(&point.one_more, |sample| sample.seconds[n]);
            let samples: Vec<String> =
                point.one_more.iter().map(|sample| format!("{:.1}", sample.total())).collect();
            let predecessor = match point.one_more.is_empty() {
                true => String::new(),
                false => format!("{all:.1} ({:.1}, {:.1}, {:.1})", part(0), part(1), part(2)),
            };
            let told = |value: &dyn Fn(&Run) -> f64| {
                point.told.as_ref().map_or(String::new(), |run| format!("{:.2}", value(run)))
            };
            let direct = &point.direct;
            writeln!(
                f,
                "| {} | {predecessor} | {} | {} | {:.3} | {} | {:.3} | {} | {:.2} |",
                point.size,
                samples.join(" "),
                told(&Run::one_of_many),
                direct.one_of_many(),
                told(&|run| run.alone.to_live),
                direct.alone.to_live,
                told(&|run| run.alone.total),
                direct.alone.total,
            )?;
        }
        writeln!(f)
    }

    fn profile(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Where the agent's time goes\n")?;
        writeln!(
            f,
            "| N | engine | passes | look at IMS, S3, mount, and targetclid's start beside it s | all LUNs s | from the start until all are live s | refresh, saveconfig, configfs s | one more image, step by step |"
        )?;
        writeln!(f, "|--:|:--|--:|--:|--:|--:|--:|:--|")?;
        for point in &self.points {
            let told = point.told.as_ref().map(|run| ("targetclid", run));
            for (engine, run) in told.into_iter().chain([("configfs", &point.direct)]) {
                let steps = run.alone.commands.iter().map(|(verb, took)| format!("{verb} {took:.3}"));
                let steps = steps.collect::<Vec<_>>().join(", ");
                let (look, luns) = (run.fill.look, run.luns());
                let (live, rest) = (run.fill.live, run.fill.apply - luns);
                writeln!(
                    f,
                    "| {} | {engine} | {} | {look:.1} | {luns:.2} | {live:.1} | {rest:.1} | {steps} |",
                    point.size, run.fill.passes
                )?;
            }
        }
        writeln!(
            f,
            "\nStep by step: in the pass after new settings, before whose first change targetclid has to read its tree anew.\nWhere root has no targetcli preferences, targetclid refuses a saveconfig with a backup at once: so one without follows.\n"
        )
    }

    /// Seconds from an empty target: measured for the smallest number; for others `~`, the sum over the samples. `None`
    /// beyond the last sample.
    fn predecessor_to(&self, size: usize) -> Option<(&'static str, f64)> {
        let fill = &self.predecessor_fill;
        let measured: f64 = fill.iter().map(Sample::total).sum();
        if size == fill.len() {
            return Some(("", measured));
        }
        let last = &fill[fill.len().saturating_sub(LAST)..];
        let mut sum = measured;
        let (mut from, mut cost) = (fill.len(), per_image(last, Sample::total));
        let sampled = |point: &&Point| !point.one_more.is_empty();
        for point in self.points.iter().filter(sampled).filter(|p| p.size > fill.len() && p.size <= size) {
            let next = per_image(&point.one_more, Sample::total);
            sum += (point.size - from) as f64 * (cost + next) / 2.0;
            (from, cost) = (point.size, next);
        }
        (from == size).then_some(("~", sum))
    }
}

fn steady(all: &[Steady], f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "## A pass that changes nothing\n")?;
    writeln!(
        f,
        "Means of {} passes each, but of one beside foreign objects. They follow a SIGHUP, after which the settings and the\nsystem's roots are read anew;",
        crate::STEADY
    )?;
    writeln!(f, "\"by its timer\" is a pass without that, the mean of as many.\n")?;
    let units: Vec<String> = UNITS.iter().map(|unit| format!("CPU ms {unit}")).collect();
    writeln!(
        f,
        "| N | foreign objects | wall ms | {} | CPU ms by its timer | S3 requests | GetObject | IMS | programs | VmHWM MiB | VmRSS MiB |",
        units.join(" | ")
    )?;
    writeln!(f, "|--:|--:|--:|{}--:|--:|--:|--:|--:|--:|--:|", "--:|".repeat(units.len()))?;
    for steady in all {
        let mean = |value: &dyn Fn(&Pass) -> f64| {
            steady.passes.iter().map(value).sum::<f64>() / steady.passes.len() as f64
        };
        let cpu: Vec<String> =
            (0..UNITS.len()).map(|unit| format!("{:.0}", mean(&|pass| pass.cpu_ms[unit]))).collect();
        let own = steady.by_timer.iter().sum::<f64>() / steady.by_timer.len() as f64;
        let own = if own.is_nan() { String::new() } else { format!("{own:.0}") };
        let mib = |wanted: &str| {
            let found = steady.memory.iter().find(|(name, _)| name == wanted);
            found.map_or(f64::NAN, |(_, kib)| *kib as f64 / 1024.0)
        };
        writeln!(
            f,
            "| {} | {} | {:.0} | {} | {own} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
            steady.images,
            steady.foreign,
            mean(&|pass| pass.wall_ms),
            cpu.join(" | "),
            mean(&|pass| pass.s3.values().sum::<usize>() as f64),
            mean(&|pass| objects_read(pass) as f64),
            mean(&|pass| pass.ims as f64),
            mean(&|pass| pass.programs.len() as f64),
            mib("VmHWM"),
            mib("VmRSS"),
        )?;
    }
    writeln!(f)
}

fn far_away(far: &Far, f: &mut Formatter<'_>) -> fmt::Result {
    let Far { images, near, rootfs, pe } = far;
    writeln!(f, "## A look with S3 far away\n")?;
    writeln!(
        f,
        "The first look at {images} images, from the start of the process. Far: every packet of S3 is 50 ms late (netem). A look\nthat takes longer than a minute goes on in the next pass, 5 s later, which is counted in.\n"
    )?;
    writeln!(
        f,
        "| | s | passes |\n|:--|--:|--:|\n| near | {:.1} | {} |\n| far | {:.1} | {} |\n| far, PE images | {:.1} | {} |\n",
        near.look, near.passes, rootfs.look, rootfs.passes, pe.look, pe.passes
    )
}

/// Of the predecessor's three commands the first two.
fn to_live(sample: &Sample) -> f64 {
    sample.seconds[0] + sample.seconds[1]
}

fn objects_read(pass: &Pass) -> usize {
    pass.s3.iter().filter(|((_, operation), _)| operation == "GetObject").map(|(_, count)| count).sum()
}

fn per_image(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(value).sum::<f64>() / samples.len() as f64
}

/// `3 /usr/bin/targetcli, 1 /bin/sh`.
fn names<'a>(programs: impl Iterator<Item = &'a String>) -> String {
    let mut counts = BTreeMap::new();
    programs.for_each(|program| *counts.entry(program).or_insert(0) += 1);
    counts.iter().map(|(program, count)| format!("{count} {program}")).collect::<Vec<_>>().join(", ")
}
