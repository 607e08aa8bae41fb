//! How things are after a pass, in numbers.

use crate::decide::plan::{Confirmation, Plan};
use crate::decide::reason::Reason;
use crate::decide::removals::Hold;
use crate::decide::transitions::OpenConditions;
use crate::model::{Actual, Cause, ImageId, Report, SaveOutcome, Site, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How much was asked and found, for the summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that IMS listed.
    pub images_listed: usize,
    /// Root file systems and PE images that should be projected.
    pub candidates: usize,
    /// Manifests that had to be read.
    pub manifests_fetched: usize,
}

/// How things are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Number of the last pass that ended; 0: none yet.
    pub scan_id: u64,
    /// Configfs shows all that should be, and nothing waits.
    pub converged: bool,
    /// What the last pass came to.
    pub summary: Summary,
    /// When it ended, since boot, and how long it took.
    pub ended: Option<(Duration, Duration)>,
    /// When the next one is due, since boot, if it comes by itself.
    pub due: Option<Duration>,
    /// What the last pass that saw the node found, for whoever asks; `None`: there was none yet.
    pub found: Option<Arc<Found>>,
    /// Who answered.
    pub sources: BTreeMap<Source, SourceState>,
    /// What is wrong.
    pub conditions: OpenConditions,
    /// What became of the code that an operator gave for it, if one was given.
    pub confirmation: Option<Confirmation>,
    /// As the answer to a pass that was asked for: the agent stops, and this is how things were before.
    pub given_up: bool,
}

impl Status {
    /// Whether initiators can rely on this worker: the last pass saw everything, and nothing that should be a LUN is
    /// missing for the node's sake.
    pub fn is_ready(&self) -> bool {
        let Summary { unknown, failed, pending_for_node, findings, .. } = &self.summary;
        self.ended.is_some() && unknown.is_empty() && failed + pending_for_node + findings == 0
    }
}

/// What a pass found and left.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it did, and what waits.
    pub plan: Arc<Plan>,
    /// What configfs showed after it.
    pub actual: Actual,
    /// What people call the images that IMS lists.
    pub names: BTreeMap<ImageId, String>,
}

/// Whether a source answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceState {
    /// When it last did, since boot.
    pub answered: Option<Duration>,
    /// Why it did not in the last pass.
    pub cause: Option<Cause>,
}

/// The same after one more pass that ended now, in which these did not answer.
pub fn sources<'a>(
    before: &BTreeMap<Source, SourceState>,
    unknown: impl Iterator<Item = &'a Cause> + Clone,
    now: Duration,
) -> BTreeMap<Source, SourceState> {
    let state = |source: Source| {
        let cause = unknown.clone().find(|cause| cause.source_name == source).cloned();
        let before = before.get(&source).and_then(|before| before.answered);
        (source, SourceState { answered: if cause.is_none() { Some(now) } else { before }, cause })
    };
    Source::ALL.map(state).into()
}

/// What a pass came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was asked and found.
    pub counts: Counts,
    /// Projections of ours that have a LUN now, as configfs shows it.
    pub live: usize,
    /// LUNs added.
    pub added: usize,
    /// LUNs recreated under their numbers.
    pub remade: usize,
    /// LUNs removed.
    pub removed: usize,
    /// Changes that did not come about.
    pub failed: usize,
    /// Images that wait.
    pub pending: usize,
    /// Of these, those that wait for the node and not for themselves.
    pub pending_for_node: usize,
    /// Of these, those that are likely to be all right soon.
    pub pending_for_now: usize,
    /// Images that could not be judged.
    pub unclear: usize,
    /// What is wrong with the node or with what is live on it.
    pub findings: usize,
    /// Removals that wait for their second look.
    pub waiting_for_second_look: usize,
    /// Removals that wait for anything else.
    pub held: usize,
    /// What did not answer: bounded kinds, `ims:timeout`, each once.
    pub unknown: Vec<String>,
    /// What became of saveconfig.json.
    pub save: SaveOutcome,
    /// Milliseconds that LIO took.
    pub apply_ms: u64,
}

impl Summary {
    /// Of a pass that came to its end.
    pub fn of(plan: &Plan, report: &Report, counts: &Counts, site: &Site) -> Self {
        let second_look = plan.held.iter().filter(|held| matches!(held.hold, Hold::SecondLook(_))).count();
        let pending = |of: fn(&Reason) -> bool| plan.pending.iter().filter(|p| of(&p.reason)).count();
        let live = |after: &Actual| {
            let projected = after.projected_names();
            site.ours_live(after).iter().filter(|(_, o)| projected.contains(o.identity.name_str())).count()
        };
        let mut unknown: Vec<String> = plan.unknown.iter().map(label).collect();
        unknown.extend(plan.unclear.iter().map(|unclear| label(&unclear.cause)));
        unknown.extend(report.busy.as_ref().map(|_| "lio:busy".to_owned()));
        unknown.sort();
        unknown.dedup();
        Summary {
            counts: counts.clone(),
            live: report.after.as_ref().map_or(plan.live, live),
            added: report.added,
            remade: report.remade,
            removed: report.removed.len(),
            failed: report.failed.len() + report.untried,
            pending: plan.pending.len(),
            pending_for_node: pending(Reason::is_of_the_node),
            pending_for_now: pending(Reason::will_pass),
            unclear: plan.unclear.len(),
            findings: plan.findings.len(),
            waiting_for_second_look: second_look,
            held: plan.held.len() - second_look,
            unknown,
            save: report.saved.clone(),
            apply_ms: report.duration_ms,
        }
    }

    /// Of a pass that saw nothing: what was live is taken to be live still.
    pub fn failed(cause: Cause, live: usize) -> Self {
        Summary { unknown: vec![label(&cause)], live, ..Summary::default() }
    }

    /// Whether nothing is left to be done. An image that is pending for a reason of its own does not count: the node
    /// shows all that can be shown.
    pub fn is_converged(&self) -> bool {
        let waits = self.waiting_for_second_look + self.held + self.failed;
        let wrong = self.pending_for_node + self.findings + self.unclear;
        let saved = matches!(self.save, SaveOutcome::Equal | SaveOutcome::Written);
        waits + wrong == 0 && self.unknown.is_empty() && saved
    }

    /// Whether an operator should look at it: something did not come about, is wrong, or did not answer.
    pub fn needs_attention(&self) -> bool {
        !self.unknown.is_empty() || self.failed + self.findings > 0
    }

    /// Whether the next pass may already find it better: it does not wait for the whole scan.
    pub fn is_troubled(&self) -> bool {
        // An old saveconfig.json makes the next boot a wrong one.
        let unsaved = matches!(self.save, SaveOutcome::Failed(_));
        !self.unknown.is_empty() || unsaved || self.failed + self.findings + self.pending_for_now > 0
    }
}

fn label(cause: &Cause) -> String {
    format!("{}:{}", cause.source_name, cause.kind)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.summary;
        write!(f, "pass {}: {} live, +{} -{}", self.scan_id, s.live, s.added, s.removed)?;
        for (count, what) in [
            (s.remade, "recreated"),
            (s.failed, "failed"),
            (s.pending, "pending"),
            (s.waiting_for_second_look, "awaiting a second observation"),
            (s.held, "held"),
            (s.findings, "problems"),
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
            Summary { pending: 1, pending_for_node: 1, ..summary() },
            Summary { findings: 1, ..summary() },
            Summary { unclear: 1, ..summary() },
            Summary { unknown: vec!["ims:timeout".into()], ..summary() },
            Summary { save: SaveOutcome::Untried, ..summary() },
            Summary { save: SaveOutcome::Refused("lost".into()), ..summary() },
            Summary { save: SaveOutcome::Failed("timeout".into()), ..summary() },
        ] {
            assert!(!left.is_converged(), "{left:?}");
        }
    }

    #[test]
    fn what_the_next_pass_may_find_better_is_looked_at_again_soon() {
        assert!(!summary().is_troubled());
        assert!(!Summary { pending: 3, held: 1, waiting_for_second_look: 1, ..summary() }.is_troubled());
        for soon in [
            Summary { failed: 1, ..summary() },
            Summary { findings: 1, ..summary() },
            Summary { pending: 1, pending_for_now: 1, ..summary() },
            Summary { unknown: vec!["ims:timeout".into()], ..summary() },
            Summary { save: SaveOutcome::Failed("timeout".into()), ..summary() },
        ] {
            assert!(soon.is_troubled(), "{soon:?}");
        }
    }

    #[test]
    fn what_waits_by_the_rules_needs_nobodys_attention() {
        let waits = Summary { pending: 3, held: 1, waiting_for_second_look: 1, added: 2, ..summary() };
        assert!(!waits.needs_attention());
        for wrong in [
            Summary { failed: 1, ..summary() },
            Summary { findings: 1, ..summary() },
            Summary { unknown: vec!["ims:timeout".into()], ..summary() },
        ] {
            assert!(wrong.needs_attention(), "{wrong:?}");
        }
    }

    #[test]
    fn a_worker_is_ready_once_a_pass_saw_everything_and_nothing_is_missing_for_its_sake() {
        let ended = Some((Duration::from_secs(9), Duration::from_secs(1)));
        let with = |summary: Summary| Status { summary, ended, ..Status::default() };
        assert!(!Status { ended: None, ..with(summary()) }.is_ready());
        assert!(with(Summary { pending: 3, held: 1, ..summary() }).is_ready());
        for not in [
            Summary { unknown: vec!["ims:timeout".into()], ..summary() },
            Summary { failed: 1, ..summary() },
            Summary { pending: 1, pending_for_node: 1, ..summary() },
            Summary { findings: 1, ..summary() },
        ] {
            assert!(!with(not.clone()).is_ready(), "{not:?}");
        }
    }

    #[test]
    fn a_status_says_what_is_not_zero_and_nothing_else() {
        let quiet = Status { scan_id: 7, converged: true, summary: summary(), ..Status::default() };
        assert_eq!(quiet.to_string(), "pass 7: 6 live, +0 -0");
        let unknown = vec!["s3:timeout".to_owned()];
        let loud = Status { summary: Summary { failed: 1, held: 2, unknown, ..summary() }, ..quiet };
        assert_eq!(loud.to_string(), "pass 7: 6 live, +0 -0, 1 failed, 2 held, no answer: s3:timeout");
    }
}
