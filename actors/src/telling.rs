//! What is worth a line in the log: every state once, when it begins, and its end; never again in between.

use crate::lio::{Report, SaveOutcome};
use crate::model::Cause;
use crate::plan::Plan;
use std::collections::BTreeMap;
use tracing::{error, info, warn};

/// What has been told and still holds: subject and kind, with its text.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    told: BTreeMap<(String, &'static str), String>,
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
}

impl Telling {
    /// Tells what is new about the images, the removals and the sources of a pass.
    pub fn pass(&mut self, plan: &Plan, report: &Report, scan_id: u64) {
        let mut lines: Vec<Line> = Vec::new();
        let mut add = |event, subject: &str, kind, detail: String, loudness| {
            lines.push(Line { event, subject: subject.to_owned(), kind, detail, loudness });
        };
        for pending in &plan.pending {
            let (kind, detail) = (pending.reason.kind(), pending.reason.to_string());
            add("image_pending", &pending.label, kind, detail, Loudness::Warn);
        }
        for held in &plan.held {
            let detail = format!("{}: {}", held.removal.why, held.hold);
            let loudness = if held.hold.kind() == "breaker" { Loudness::Error } else { Loudness::Warn };
            add("removal_held", held.removal.ours.key.as_str(), held.hold.kind(), detail, loudness);
        }
        for (label, what) in &plan.odd {
            add("projection_odd", label, what, "only a withdrawal would put it right".into(), Loudness::Warn);
        }
        if let SaveOutcome::Refused(why) | SaveOutcome::Failed(why) = &report.saved {
            add("save_problem", "saveconfig.json", "save", why.clone(), Loudness::Error);
        }
        lines.extend(plan.unknown.iter().map(of_cause));
        self.tell(lines, scan_id);
    }

    /// Tells that nothing could be seen.
    pub fn unknown(&mut self, causes: &[Cause], scan_id: u64) {
        self.tell(causes.iter().map(of_cause).collect(), scan_id);
    }

    fn tell(&mut self, lines: Vec<Line>, scan_id: u64) {
        let mut now = BTreeMap::new();
        for Line { event, subject, kind, detail, loudness } in lines {
            let id = (subject.clone(), kind);
            if !self.told.contains_key(&id) && !now.contains_key(&id) {
                let (image_id, reason) = (subject.as_str(), kind);
                match loudness {
                    Loudness::Warn => warn!(event, scan_id, image_id, reason, detail),
                    Loudness::Error => error!(event, scan_id, image_id, reason, detail),
                }
            }
            now.insert(id, event.to_owned());
        }
        for ((subject, kind), event) in self.told.iter().filter(|(id, _)| !now.contains_key(id)) {
            info!(
                event = "resolved",
                scan_id,
                image_id = subject.as_str(),
                reason = kind,
                was = event.as_str()
            );
        }
        self.told = now;
    }
}

fn of_cause(cause: &Cause) -> Line {
    Line {
        event: "source_unknown",
        subject: cause.source_name.to_string(),
        kind: cause.kind,
        detail: cause.detail.clone(),
        loudness: Loudness::Error,
    }
}
