//! What a pass leaves to be remembered.

use crate::decide::history::{History, Opened};
use crate::decide::live::LiveFiles;
use crate::decide::plan::Plan;
use crate::decide::plan::change::Action;
use crate::decide::plan::quarantine;
use crate::decide::policy::Policy;
use crate::model::{Actual, Identity, ObjectIndex, Report, SaveOutcome, Site};
use std::collections::BTreeSet;
use std::time::Duration;

/// The history after a plan was carried out, at `now` since boot. `objects` is the listing that the plan was made from,
/// `live` what the mount showed.
pub fn after_pass(
    plan: &Plan,
    report: &Report,
    objects: Option<&ObjectIndex>,
    live: &LiveFiles,
    policy: &Policy,
    now: Duration,
) -> History {
    let mut history = plan.history.clone();
    note_removals(&mut history, plan, report, now);
    history.failed = report.failed.iter().map(|failure| failure.identity.clone()).collect();
    note_creations(&mut history, plan, report, objects, live, &policy.site);
    if let Some(after) = &report.after {
        quarantine::note_live(&mut history, after, policy, now);
    }
    history
}

/// What the breaker counts when it goes: not what an operator has confirmed (R3).
pub fn counted_removals(plan: &Plan) -> BTreeSet<Identity> {
    let removals = plan.changes.iter().filter(|change| matches!(change.action, Action::Withdraw(_)));
    let identities = removals.map(|change| &change.identity);
    identities.filter(|identity| !plan.history.breaker.confirmed.contains(identity)).cloned().collect()
}

/// R3: a pass that brought no report may have removed all that it was about to. Those that count by this alone: what
/// turns out to be still there is taken back by [`take_back`].
pub fn count_unreported(
    history: &mut History,
    removing: BTreeSet<Identity>,
    now: Duration,
) -> BTreeSet<Identity> {
    let new = removing.into_iter().filter(|identity| !history.breaker.removed.contains_key(identity));
    let unreported: BTreeSet<Identity> = new.collect();
    history.breaker.removed.extend(unreported.iter().map(|identity| (identity.clone(), now)));
    unreported
}

/// R3: what was counted without a report and is still there has not gone.
pub fn take_back(history: &mut History, unreported: &BTreeSet<Identity>, actual: &Actual) {
    let is_there = |identity: &Identity| actual.is_projected(identity);
    history.breaker.removed.retain(|identity, _| !(unreported.contains(identity) && is_there(identity)));
}

/// R3: what went lately.
fn note_removals(history: &mut History, plan: &Plan, report: &Report, now: Duration) {
    let saved = matches!(report.saved, SaveOutcome::Written);
    let forgotten = plan.forgotten.iter().filter(|_| saved);
    // What failed may still come about: a command that was answered too late is carried out all the same.
    let failed: BTreeSet<&Identity> = report.failed.iter().map(|failure| &failure.identity).collect();
    let withdrawn = plan.changes.iter().filter(|change| matches!(change.action, Action::Withdraw(_)));
    let perhaps = withdrawn.map(|change| &change.identity).filter(|identity| failed.contains(identity));
    for identity in report.removed.iter().chain(forgotten).chain(perhaps) {
        // What an operator has confirmed says nothing of what goes by itself.
        if !history.breaker.confirmed.contains(identity) {
            history.breaker.removed.insert(identity.clone(), now);
        }
    }
}

/// Under which mount, and with what content, each new backstore was opened.
fn note_creations(
    history: &mut History,
    plan: &Plan,
    report: &Report,
    objects: Option<&ObjectIndex>,
    live: &LiveFiles,
    site: &Site,
) {
    let (Some(after), Some(mount)) = (&report.after, live.mount) else { return };
    let makes = |action: &Action| matches!(action, Action::Project(_) | Action::Remake(_));
    let made: BTreeSet<&Identity> =
        plan.changes.iter().filter(|change| makes(&change.action)).map(|change| &change.identity).collect();
    for (backstore, ours) in site.ours_live(after) {
        let opened = Opened { inode: backstore.inode, device: mount.device };
        let known = history.mounts.get(&ours.identity);
        if made.contains(&ours.identity) && known.is_none_or(|known| known.inode != opened.inode) {
            history.mounts.insert(ours.identity.clone(), opened);
            let held = objects.and_then(|objects| objects.get(&ours.key)).map(|meta| meta.etag.clone());
            history.contents.extend(held.map(|etag| (ours.identity, etag)));
        }
    }
}
