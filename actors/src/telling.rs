//! What is worth a line in the log: every state once, when it begins, and its end; never again in between.

use crate::lio::{Report, SaveOutcome};
use crate::model::Cause;
use crate::plan::Plan;
use std::collections::BTreeSet;
use tracing::{error, info, warn};

/// The event of a source that did not answer.
const SOURCE_UNKNOWN: &str = "source_unknown";

/// A state: its event, its subject and its kind.
type State = (&'static str, String, &'static str);

/// What has been told and still holds.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    told: BTreeSet<State>,
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
        let blind = lines.iter().any(|line| line.event == SOURCE_UNKNOWN);
        let mut now = BTreeSet::new();
        for Line { event, subject, kind, detail, loudness } in lines {
            let (image_id, reason) = (subject.as_str(), kind);
            let state = (event, subject.clone(), kind);
            if !self.told.contains(&state) && !now.contains(&state) {
                match loudness {
                    Loudness::Warn => warn!(event, scan_id, image_id, reason, detail),
                    Loudness::Error => error!(event, scan_id, image_id, reason, detail),
                }
            }
            now.insert(state);
        }
        for state in std::mem::take(&mut self.told) {
            let (was, image_id, reason) = (state.0, state.1.as_str(), state.2);
            if now.contains(&state) {
                continue;
            }
            // What cannot be seen has not ended.
            if blind && was != SOURCE_UNKNOWN {
                now.insert(state);
            } else {
                info!(event = "resolved", scan_id, image_id, reason, was);
            }
        }
        self.told = now;
    }
}

fn of_cause(cause: &Cause) -> Line {
    Line {
        event: SOURCE_UNKNOWN,
        subject: cause.source_name.to_string(),
        kind: cause.kind,
        detail: cause.detail.clone(),
        loudness: Loudness::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;

    fn line(event: &'static str, subject: &str) -> Line {
        let (subject, detail) = (subject.to_owned(), String::new());
        Line { event, subject, kind: "kind", detail, loudness: Loudness::Warn }
    }

    fn told(telling: &Telling) -> Vec<&str> {
        telling.told.iter().map(|(event, ..)| *event).collect()
    }

    #[test]
    fn a_state_is_told_while_it_holds_and_ends_when_it_is_seen_no_more() {
        let mut telling = Telling::default();
        telling.tell(vec![line("image_pending", "a"), line("image_pending", "a")], 1);
        assert_eq!(told(&telling), ["image_pending"]);
        telling.tell(vec![], 2);
        assert_eq!(told(&telling), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_seen_has_not_ended() {
        let mut telling = Telling::default();
        telling.tell(vec![line("image_pending", "a")], 1);
        let cause = Cause { source_name: Source::Lio, kind: "configfs", detail: String::new() };
        telling.unknown(&[cause], 2);
        assert_eq!(told(&telling), ["image_pending", SOURCE_UNKNOWN]);
        telling.tell(vec![line("image_pending", "a")], 3);
        assert_eq!(told(&telling), ["image_pending"]);
    }
}
