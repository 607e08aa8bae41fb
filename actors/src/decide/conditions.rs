//! What is wrong after a pass, as conditions: each is logged once when it starts and once when it clears.

use crate::decide::plan::Plan;
use crate::model::{Cause, Kind, Report, SaveOutcome, Source};
use std::collections::BTreeMap;

/// The event of a source that did not answer.
pub const SOURCE_UNKNOWN: &str = "source_unknown";

/// The images that it may hold up are more than this: then the source is told, and not each of them.
const MOST_UNCLEAR: usize = 5;

/// A condition: its event, its subject and its kind.
pub type Condition = (&'static str, String, &'static str);

/// The sources without which nobody can say that a condition has ended.
pub type Needs = &'static [Source];

pub const OF_ROOTFS: Needs = &[Source::Ims, Source::S3, Source::Mount, Source::Lio];
pub const OF_OBJECTS: Needs = &[Source::S3, Source::Mount, Source::Lio];
pub const OF_FILES: Needs = &[Source::Mount, Source::Lio];
pub const OF_NODE: Needs = &[Source::Lio];

/// What an unreadable image holds up of which nobody knows the past.
const NEVER_READ: &str =
    "; what it named before is not known, so no root file system is removed: mend it, or untag the image";

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    Warn,
    Error,
}

pub struct Line {
    pub event: &'static str,
    pub subject: String,
    pub kind: &'static str,
    pub detail: String,
    pub loudness: Loudness,
    pub needs: Needs,
}

impl Line {
    pub fn warn(
        event: &'static str,
        subject: &str,
        kind: &'static str,
        detail: String,
        needs: Needs,
    ) -> Self {
        Line { event, subject: subject.to_owned(), kind, detail, loudness: Loudness::Warn, needs }
    }

    pub fn error(
        event: &'static str,
        subject: &str,
        kind: &'static str,
        detail: String,
        needs: Needs,
    ) -> Self {
        Line { loudness: Loudness::Error, ..Line::warn(event, subject, kind, detail, needs) }
    }
}

pub fn lines(plan: &Plan, report: &Report) -> Vec<Line> {
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

pub fn of_cause(cause: &Cause) -> Line {
    Line::error(SOURCE_UNKNOWN, &cause.source_name.to_string(), cause.kind, cause.detail.clone(), &[])
}
