//! What is worth a line in the log: every condition once when it starts and once when it clears; never again in between.

use crate::lio::{Report, SaveOutcome};
use crate::model::{Cause, Kind, Source};
use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use tracing::{error, info, warn};

/// The event of a source that did not answer.
const SOURCE_UNKNOWN: &str = "source_unknown";

/// The images that it may hold up are more than this: then the source is told, and not each of them.
const MOST_UNCLEAR: usize = 5;

/// So many lines one pass writes of one event, at most; one more says how many there are.
const MOST_LINES: usize = 20;

/// A condition: its event, its subject and its kind.
type Condition = (&'static str, String, &'static str);

/// The sources without which nobody can say that a condition has ended.
type Needs = &'static [Source];

const OF_ROOTFS: Needs = &[Source::Ims, Source::S3, Source::Mount, Source::Lio];
const OF_OBJECTS: Needs = &[Source::S3, Source::Mount, Source::Lio];
const OF_FILES: Needs = &[Source::Mount, Source::Lio];
const OF_NODE: Needs = &[Source::Lio];

/// What an unreadable image holds up of which nobody knows the past.
const NEVER_READ: &str =
    "; what it named before is not known, so no root file system is removed: mend it, or untag the image";

/// What has been told and still holds.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    told: BTreeMap<Condition, Needs>,
}

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loudness {
    Warn,
    Error,
}

struct Line {
    event: &'static str,
    subject: String,
    kind: &'static str,
    detail: String,
    loudness: Loudness,
    needs: Needs,
}

impl Line {
    fn warn(event: &'static str, subject: &str, kind: &'static str, detail: String, needs: Needs) -> Self {
        Line { event, subject: subject.to_owned(), kind, detail, loudness: Loudness::Warn, needs }
    }

    fn error(event: &'static str, subject: &str, kind: &'static str, detail: String, needs: Needs) -> Self {
        Line { loudness: Loudness::Error, ..Line::warn(event, subject, kind, detail, needs) }
    }
}

/// Whether the subject of an event is an image: then it is logged as such.
fn is_of_an_image(event: &str) -> bool {
    matches!(event, "image_pending" | "image_unclear" | "removal_held" | "projection_odd")
}

impl Telling {
    /// Tells what is new about the images, the removals, the node and the sources of a pass.
    pub fn pass(&mut self, plan: &Plan, report: &Report, scan_id: u64) {
        let blind: BTreeSet<Source> = plan.unknown.iter().map(|cause| cause.source_name).collect();
        self.tell(lines(plan, report), &blind, scan_id);
    }

    /// Tells that nothing could be seen.
    pub fn unknown(&mut self, causes: &[Cause], scan_id: u64) {
        self.tell(causes.iter().map(of_cause).collect(), &BTreeSet::from([Source::Lio]), scan_id);
    }

    fn tell(&mut self, lines: Vec<Line>, blind: &BTreeSet<Source>, scan_id: u64) {
        let mut now: BTreeMap<Condition, Needs> = BTreeMap::new();
        let mut told: BTreeMap<&'static str, usize> = BTreeMap::new();
        for line in lines {
            let condition = (line.event, line.subject.clone(), line.kind);
            if !self.told.contains_key(&condition) && !now.contains_key(&condition) {
                let count = told.entry(line.event).or_default();
                *count += 1;
                if *count <= MOST_LINES {
                    begin(&line, scan_id);
                }
            }
            now.insert(condition, line.needs);
        }
        let mut ended: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (condition, needs) in std::mem::take(&mut self.told) {
            if now.contains_key(&condition) {
                continue;
            }
            // What cannot be seen has not ended.
            if needs.iter().any(|source| blind.contains(source)) {
                now.insert(condition, needs);
                continue;
            }
            let count = ended.entry(condition.0).or_default();
            *count += 1;
            if *count <= MOST_LINES {
                end(&condition, scan_id);
            }
        }
        for (event, count) in told.into_iter().filter(|(_, count)| *count > MOST_LINES) {
            warn!(event = "more", scan_id, of = event, count, "so many in all began; not all are shown");
        }
        for (event, count) in ended.into_iter().filter(|(_, count)| *count > MOST_LINES) {
            info!(
                event = "more_resolved",
                scan_id,
                of = event,
                count,
                "so many in all ended; not all are shown"
            );
        }
        self.told = now;
    }
}

fn lines(plan: &Plan, report: &Report) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for pending in &plan.pending {
        let (kind, mut detail) = (pending.reason.kind(), pending.reason.to_string());
        if plan.history.never_read.contains(&pending.label) {
            detail += NEVER_READ;
        }
        let needs = if pending.kind == Kind::Rootfs { OF_ROOTFS } else { OF_OBJECTS };
        lines.push(Line::warn("image_pending", &pending.label, kind, detail, needs));
    }
    lines.extend(unclear(plan));
    for held in plan.held.iter().filter(|held| held.hold.kind() != "breaker") {
        let detail = format!("{}: {}", held.removal.why, held.hold);
        lines.push(Line::warn("removal_held", &held.label, held.hold.kind(), detail, OF_ROOTFS));
    }
    if let Some(tripped) = &plan.tripped {
        let mut held: Vec<&str> =
            plan.held.iter().filter(|h| h.hold.kind() == "breaker").map(|h| h.label.as_str()).collect();
        held.sort_unstable();
        let shown = held.iter().take(MOST_UNCLEAR).copied().collect::<Vec<_>>().join(", ");
        let more = if held.len() > MOST_UNCLEAR { ", ..." } else { "" };
        let detail = format!("{tripped} ({shown}{more})");
        // The code is the subject: another set is another condition, and its code is logged.
        lines.push(Line::error("removals_held", &tripped.code, "breaker", detail, OF_ROOTFS));
    }
    for (label, what) in &plan.odd {
        let detail = "only a withdrawal would put it right".into();
        lines.push(Line::warn("projection_odd", label, what, detail, OF_OBJECTS));
    }
    for finding in &plan.findings {
        let of_files = matches!(finding.event, "export_escapes" | "creates_blocked" | "lun_dead");
        let needs = if of_files { OF_FILES } else { OF_NODE };
        lines.push(Line::error(finding.event, &finding.subject, finding.kind, finding.detail.clone(), needs));
    }
    if let Some(holder) = &report.busy {
        let detail =
            format!("targetclid cannot be used: it is held by {holder}; changes wait until it is free");
        lines.push(Line::error("lio_busy", "targetclid", "busy", detail, OF_NODE));
    }
    if let SaveOutcome::Refused(why) | SaveOutcome::Failed(why) = &report.saved {
        lines.push(Line::error("save_problem", "saveconfig.json", report.saved.kind(), why.clone(), OF_NODE));
    }
    lines.extend(plan.unknown.iter().map(of_cause));
    lines
}

/// A few images each by its name; many of the same cause as what they are, a source that does not answer.
fn unclear(plan: &Plan) -> Vec<Line> {
    let mut by_cause: BTreeMap<(Source, &'static str), Vec<(&str, &Cause)>> = BTreeMap::new();
    for (label, cause) in &plan.unclear {
        by_cause.entry((cause.source_name, cause.kind)).or_default().push((label, cause));
    }
    let mut lines = Vec::new();
    for ((source, kind), images) in by_cause {
        if let (true, Some((first, cause))) = (images.len() > MOST_UNCLEAR, images.first()) {
            let detail = format!("{} images cannot be judged, first {first}: {}", images.len(), cause.detail);
            lines.push(Line::error("source_degraded", &source.to_string(), kind, detail, OF_ROOTFS));
        } else {
            let line = |(label, cause): (&str, &Cause)| {
                let unknown_past = plan.history.never_read.contains(label);
                let holds = if unknown_past { NEVER_READ } else { "; what it named stays" };
                let detail = format!("{cause}{holds}");
                Line::warn("image_unclear", label, kind, detail, OF_ROOTFS)
            };
            lines.extend(images.into_iter().map(line));
        }
    }
    lines
}

fn of_cause(cause: &Cause) -> Line {
    Line::error(SOURCE_UNKNOWN, &cause.source_name.to_string(), cause.kind, cause.detail.clone(), &[])
}

fn begin(line: &Line, scan_id: u64) {
    let Line { event, subject, kind: reason, detail, .. } = line;
    let subject = subject.as_str();
    match (line.loudness, is_of_an_image(event)) {
        (Loudness::Warn, true) => warn!(event, scan_id, image_id = subject, reason, detail),
        (Loudness::Warn, false) => warn!(event, scan_id, subject, reason, detail),
        (Loudness::Error, true) => error!(event, scan_id, image_id = subject, reason, detail),
        (Loudness::Error, false) => error!(event, scan_id, subject, reason, detail),
    }
}

fn end((was, subject, reason): &Condition, scan_id: u64) {
    match is_of_an_image(was) {
        true => info!(event = "resolved", scan_id, image_id = subject.as_str(), reason, was),
        false => info!(event = "resolved", scan_id, subject = subject.as_str(), reason, was),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &'static str, subject: &str, needs: Needs) -> Line {
        Line::warn(event, subject, "kind", String::new(), needs)
    }

    fn told(telling: &Telling) -> Vec<&str> {
        telling.told.keys().map(|(event, ..)| *event).collect()
    }

    #[test]
    fn a_condition_is_told_while_it_holds_and_ends_when_it_is_seen_no_more() {
        let (mut telling, nothing) = (Telling::default(), BTreeSet::new());
        let both = vec![line("image_pending", "a", OF_ROOTFS), line("image_pending", "a", OF_ROOTFS)];
        telling.tell(both, &nothing, 1);
        assert_eq!(told(&telling), ["image_pending"]);
        telling.tell(vec![], &nothing, 2);
        assert_eq!(told(&telling), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_seen_has_not_ended() {
        let mut telling = Telling::default();
        telling.tell(vec![line("image_pending", "a", OF_ROOTFS)], &BTreeSet::new(), 1);
        let cause = Cause { source_name: Source::Lio, kind: "configfs", detail: String::new() };
        telling.unknown(&[cause], 2);
        assert_eq!(told(&telling), ["image_pending", SOURCE_UNKNOWN]);
        telling.tell(vec![line("image_pending", "a", OF_ROOTFS)], &BTreeSet::new(), 3);
        assert_eq!(told(&telling), ["image_pending"]);
    }

    #[test]
    fn what_can_be_seen_ends_although_another_source_stays_unknown() {
        let mut telling = Telling::default();
        let lines = vec![line("image_pending", "PE/a", OF_OBJECTS), line("image_pending", "id", OF_ROOTFS)];
        telling.tell(lines, &BTreeSet::new(), 1);
        telling.tell(vec![], &BTreeSet::from([Source::Ims]), 2);
        let left: Vec<&str> = telling.told.keys().map(|(_, subject, _)| subject.as_str()).collect();
        assert_eq!(left, ["id"]);
    }
}
