//! How things are after a pass: one summary, for the log, the exit code and systemd.

use crate::guard::Hold;
use crate::lio::{Report, SaveOutcome};
use crate::model::Cause;
use crate::pass::Counts;
use crate::plan::Plan;
use std::fmt;
use tracing::{info, warn};

/// How things are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Number of the last pass that ended; 0: none yet.
    pub scan_id: u64,
    /// Configfs shows all that should be, and nothing waits.
    pub converged: bool,
    /// What the last pass came to.
    pub summary: Summary,
}

/// What a pass came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was asked and found.
    pub counts: Counts,
    /// Projections that are live now.
    pub live: usize,
    /// LUNs added.
    pub added: usize,
    /// LUNs removed.
    pub removed: usize,
    /// Changes that did not come about.
    pub failed: usize,
    /// Images that wait.
    pub pending: usize,
    /// Removals that wait for their second look.
    pub waiting_for_second_look: usize,
    /// Removals that wait for anything else.
    pub held: usize,
    /// What did not answer: bounded kinds, `ims:timeout`.
    pub unknown: Vec<String>,
    /// What became of saveconfig.json.
    pub save: SaveOutcome,
    /// Milliseconds that LIO took.
    pub apply_ms: u64,
}

impl Summary {
    /// Of a pass that came to its end.
    pub fn of(plan: &Plan, report: &Report, counts: &Counts) -> Self {
        let second_look = plan.held.iter().filter(|held| matches!(held.hold, Hold::SecondLook(_))).count();
        Summary {
            counts: counts.clone(),
            live: plan.live + report.added,
            added: report.added,
            removed: report.removed,
            failed: report.failed.len() + report.untried,
            pending: plan.pending.len(),
            waiting_for_second_look: second_look,
            held: plan.held.len() - second_look,
            unknown: plan.unknown.iter().map(label).collect(),
            save: report.saved.clone(),
            apply_ms: report.duration_ms,
        }
    }

    /// Of a pass that saw nothing.
    pub fn failed(cause: Cause) -> Self {
        Summary { unknown: vec![label(&cause)], ..Summary::default() }
    }

    /// Whether nothing is left to be done. An image that is pending for a reason of its own does not count: the node
    /// shows all that can be shown.
    pub fn is_converged(&self) -> bool {
        let waits = self.waiting_for_second_look + self.held + self.failed;
        let saved = matches!(self.save, SaveOutcome::Equal | SaveOutcome::Written);
        waits == 0 && self.unknown.is_empty() && saved
    }
}

fn label(cause: &Cause) -> String {
    format!("{}:{}", cause.source_name, cause.kind)
}

impl Status {
    /// The one line of every pass.
    pub fn log(&self) {
        let s = &self.summary;
        let unknown = s.unknown.join(",");
        macro_rules! summary {
            ($level:ident) => {
                $level!(
                    event = "pass_summary",
                    scan_id = self.scan_id,
                    result = if self.converged { "converged" } else { "not_converged" },
                    live = s.live,
                    added = s.added,
                    removed = s.removed,
                    failed = s.failed,
                    pending = s.pending,
                    second_look = s.waiting_for_second_look,
                    held = s.held,
                    unknown,
                    save = s.save.kind(),
                    images_listed = s.counts.images_listed,
                    candidates = s.counts.candidates,
                    manifests_fetched = s.counts.manifests_fetched,
                    apply_ms = s.apply_ms,
                    "{self}"
                )
            };
        }
        if s.unknown.is_empty() && s.failed == 0 { summary!(info) } else { summary!(warn) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.summary;
        write!(f, "pass {}: {} live, +{} -{}", self.scan_id, s.live, s.added, s.removed)?;
        for (count, what) in [
            (s.failed, "failed"),
            (s.pending, "pending"),
            (s.waiting_for_second_look, "awaiting a second look"),
            (s.held, "held"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if !s.unknown.is_empty() {
            write!(f, ", no answer: {}", s.unknown.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary { live: 6, save: SaveOutcome::Equal, ..Summary::default() }
    }

    #[test]
    fn only_what_an_operator_or_a_later_pass_has_to_put_right_keeps_a_node_from_being_converged() {
        assert!(Summary { pending: 3, added: 1, save: SaveOutcome::Written, ..summary() }.is_converged());
        for left in [
            Summary { failed: 1, ..summary() },
            Summary { waiting_for_second_look: 1, ..summary() },
            Summary { held: 1, ..summary() },
            Summary { unknown: vec!["ims:timeout".into()], ..summary() },
            Summary { save: SaveOutcome::Untried, ..summary() },
            Summary { save: SaveOutcome::Refused("lost".into()), ..summary() },
            Summary { save: SaveOutcome::Failed("timeout".into()), ..summary() },
        ] {
            assert!(!left.is_converged(), "{left:?}");
        }
    }

    #[test]
    fn a_status_says_what_is_not_zero_and_nothing_else() {
        let quiet = Status { scan_id: 7, converged: true, summary: summary() };
        assert_eq!(quiet.to_string(), "pass 7: 6 live, +0 -0");
        let unknown = vec!["s3:timeout".to_owned()];
        let loud = Status { summary: Summary { failed: 1, held: 2, unknown, ..summary() }, ..quiet };
        assert_eq!(loud.to_string(), "pass 7: 6 live, +0 -0, 1 failed, 2 held, no answer: s3:timeout");
    }
}
