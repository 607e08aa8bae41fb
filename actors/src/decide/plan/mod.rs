//! From what should be and what is to what is to be done. Pure.

use crate::decide::desired::{Candidate, Desired, Verdict};
use crate::decide::evidence::Standing;
use crate::decide::history::History;
use crate::decide::live::LiveFile;
use crate::decide::plan::change::{Action, Change, Drifted, Held, Pending, Seen, Unclear};
use crate::decide::plan::findings::Finding;
use crate::decide::policy::Policy;
use crate::decide::removals::{Removal, Tripped};
use crate::decide::withdrawal::Withdrawal;
use crate::decide::{evidence, live, removals};
use crate::model::{
    Actual, Backstore, Cause, Etag, Identity, ImageRef, Inventory, LunEntry, Ours, Saved, Step, TpgPath,
};

pub mod additions;
pub mod change;
pub mod findings;

use std::collections::{BTreeMap, BTreeSet};

/// What a pass is going to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In this order: removals first, so that no dangling file stands in a create's way (FACTS 2.10).
    pub changes: Vec<Change>,
    /// Removals that wait.
    pub held: Vec<Held>,
    /// Whether an operator has to confirm some of them.
    pub tripped: Option<Tripped>,
    /// Whether the code that an operator has just given is that of the removals that waited; `None` if there was no
    /// code, or no evidence to compare it with.
    pub confirmation: Option<bool>,
    /// Images that wait.
    pub pending: Vec<Pending>,
    /// Live projections of ours that look wrong but must not be touched.
    pub drifted: Vec<Drifted>,
    /// What else is wrong with the node.
    pub findings: Vec<Finding>,
    /// The sources that did not answer.
    pub unknown: Vec<Cause>,
    /// Images that could not be judged.
    pub unclear: Vec<Unclear>,
    /// Projections of ours that have a LUN in our TPG.
    pub live: usize,
    /// Saved entries known to be unwanted: a save may forget them (R11).
    pub may_drop: Inventory,
    /// Projections that are saved and not live, and that a save may forget.
    pub forgotten: BTreeSet<Identity>,
    /// To be remembered.
    pub history: History,
}

/// What to do, given what was seen, what was before, and the code that an operator has just confirmed.
pub fn plan(seen: Seen<'_>, before: &History, policy: &Policy, confirmed: Option<&str>) -> Plan {
    let Seen { desired, actual, live: files, time } = seen;
    let ours: Vec<(&Backstore, Ours)> = policy.site.ours_live(actual);
    let saved_only = saved_only(actual, &ours, policy);
    let all: BTreeSet<Identity> =
        ours.iter().map(|(_, ours)| ours).chain(&saved_only).map(|ours| ours.identity.clone()).collect();

    let mut history = History { claims: evidence::claims(desired, before, &all), ..before.clone() };
    history.never_read = evidence::never_read(desired, before);
    history.begun |= desired.unknown.is_empty();
    history.failed.clear();
    let (mounts, dead) = live::mounts(&ours, files, before);
    history.mounts = mounts;
    history.contents = contents(desired, &ours, before);

    let due = due_removals(seen, &ours, &saved_only, &history);
    let judgement = removals::removals(due, all.len(), before, &policy.limits, time, confirmed);
    let mut tripped = None;
    let mut confirmation = None;
    let mut removals = Vec::new();
    if desired.unknown.is_empty() {
        confirmation = confirmed.map(|_| judgement.confirmed);
        (history.looks, history.breaker) = (judgement.looks, judgement.breaker);
        (removals, tripped) = (judgement.removals, judgement.tripped);
    } else {
        // Without evidence nothing is due; what was seen before has to be seen anew.
        history.restart_looks();
    }

    let live_names: BTreeSet<&Identity> = ours.iter().map(|(_, ours)| &ours.identity).collect();
    let (mut changes, mut held, mut forgotten) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (removal, verdict) in removals {
        let image = evidence::image_of(&removal.ours, &history);
        match verdict {
            Err(hold) => held.push(Held { removal, image, hold }),
            Ok(()) if live_names.contains(&removal.ours.identity) => {
                changes.push(withdraw(actual, removal, image, policy));
            }
            Ok(()) => drop(forgotten.insert(removal.ours.identity)),
        }
    }
    let gone: BTreeSet<Identity> =
        changes.iter().map(|change| change.identity.clone()).chain(forgotten.iter().cloned()).collect();
    let additions = additions::additions(seen, &gone, &dead, &history, policy);
    changes.extend(additions.changes);
    if !before.failed.is_empty() {
        // What could not be made in the last pass may be the LUN that was taken down first: no second one.
        changes.retain(|change| !matches!(change.action, Action::Remake(..)));
    }
    // What failed last time must not keep the others from their turn for ever.
    changes.sort_by_key(|change| (rank(change), before.failed.contains(&change.identity)));
    let findings = findings::all(seen, &ours, &dead, &changes, policy);
    Plan {
        may_drop: may_drop(desired, actual, policy, &gone),
        live: ours.iter().filter(|(_, ours)| actual.is_projected(&ours.identity)).count(),
        unknown: desired.unknown.clone(),
        unclear: unclear(desired),
        drifted: additions.drifted,
        pending: additions.pending,
        changes,
        held,
        tripped,
        confirmation,
        findings,
        forgotten,
        history,
    }
}

/// What was cut short first, for it blocks all others; then removals, then what is new. What is dead comes last: it is
/// taken down before it can be made anew, and whether anything can be made now is known by then.
fn rank(change: &Change) -> u8 {
    let discards = |step: &Step| matches!(step, Step::DiscardLun { .. } | Step::DiscardBackstore { .. });
    match &change.action {
        Action::Withdraw(_) => 1,
        _ if change.steps.iter().any(discards) => 0,
        Action::Project(..) => 2,
        Action::Remake(..) => 3,
    }
}

/// Saved and not live: a boot that found the mount not there leaves it so. It goes only as a live one goes (R2, R3).
fn saved_only(actual: &Actual, live: &[(&Backstore, Ours)], policy: &Policy) -> Vec<Ours> {
    let Saved::Readable(saved) = &actual.saved else { return Vec::new() };
    let is_live = |ours: &Ours| live.iter().any(|(_, live)| live.identity == ours.identity);
    policy.site.ours_saved(saved).map(|(_, ours)| ours).filter(|ours| !is_live(ours)).collect()
}

/// R6: what each live projection held when it was first seen.
fn contents(desired: &Desired, ours: &[(&Backstore, Ours)], before: &History) -> BTreeMap<Identity, Etag> {
    let Some(objects) = desired.objects.known() else { return before.contents.clone() };
    let first_seen = |backstore: &Backstore, ours: &Ours| {
        let same = before.mounts.get(&ours.identity).is_none_or(|known| known.inode == backstore.inode);
        let known = before.contents.get(&ours.identity).filter(|_| same).cloned();
        let now = || objects.get(&ours.key).map(|meta| meta.etag.clone());
        Some((ours.identity.clone(), known.or_else(now)?))
    };
    ours.iter().filter_map(|(backstore, ours)| first_seen(backstore, ours)).collect()
}

fn unclear(desired: &Desired) -> Vec<Unclear> {
    let of = |candidate: &Candidate| match &candidate.verdict {
        Verdict::Unknown { cause, .. } => {
            Some(Unclear { image: candidate.image.clone(), cause: cause.clone() })
        }
        _ => None,
    };
    desired.candidates.iter().filter_map(of).collect()
}

fn due_removals(
    seen: Seen<'_>,
    live: &[(&Backstore, Ours)],
    saved_only: &[Ours],
    history: &History,
) -> Vec<Removal> {
    let Seen { desired, actual, live: files, .. } = seen;
    if !desired.unknown.is_empty() {
        return Vec::new();
    }
    let foreign_lun = |backstore: &Backstore| {
        actual.luns_of(backstore).find(|lun| lun.tpg != actual.tpg_path).map(|lun| lun.tpg.clone())
    };
    let escapes = |ours: &Ours| matches!(files.files.get(&ours.key), Some(LiveFile::Escapes(_)));
    let of = |ours: &Ours, foreign_lun: Option<TpgPath>, is_live: bool| {
        let why = match evidence::standing(ours, desired, history) {
            Standing::Gone(why) => why,
            _ if is_live && escapes(ours) => Withdrawal::Escaped,
            _ => return None,
        };
        let needs_confirmation =
            why == Withdrawal::Escaped || (why == Withdrawal::ImageGone && desired.nothing_listed);
        Some(Removal { ours: ours.clone(), why, foreign_lun, needs_confirmation })
    };
    let live = live.iter().filter_map(|(backstore, ours)| of(ours, foreign_lun(backstore), true));
    live.chain(saved_only.iter().filter_map(|ours| of(ours, None, false))).collect()
}

/// The LUNs first, then the backstore (FACTS 2.9).
fn withdraw(actual: &Actual, removal: Removal, image: ImageRef, policy: &Policy) -> Change {
    let Removal { ours: Ours { identity, key, .. }, why, .. } = removal;
    let name = identity.name();
    let luns: Vec<u16> = actual.luns_of_fileio(name.as_str()).map(|lun| lun.lun).collect();
    let mut steps: Vec<Step> =
        luns.iter().map(|lun| Step::DeleteLun { lun: *lun, name: name.clone() }).collect();
    steps.push(Step::DeleteBackstore { name, wwn: identity.wwn().clone() });
    Change {
        action: Action::Withdraw(why),
        image,
        lun: luns.first().copied(),
        own_lun: None,
        file: policy.site.path_of(&key),
        identity,
        steps,
    }
}

/// R11: saved entries of ours that go or have gone in the way a removal goes, and LUNs of ours that are live under
/// another number, or whose number another LUN has; none while a source does not answer.
fn may_drop(desired: &Desired, actual: &Actual, policy: &Policy, gone: &BTreeSet<Identity>) -> Inventory {
    let mut may_drop = Inventory::default();
    let Saved::Readable(saved) = &actual.saved else { return may_drop };
    if !desired.unknown.is_empty() {
        return may_drop;
    }
    let numbers = actual.numbers();
    for (backstore, ours) in policy.site.ours_saved(saved) {
        let gone = gone.contains(&ours.identity);
        if gone {
            may_drop.backstores.insert(backstore.clone());
        }
        // Under its own number it stays saved, even if this pass should take it down and not get it up again.
        let other_number = |lun: &LunEntry| {
            !actual.luns.contains(lun) && (actual.is_projected(&ours.identity) || numbers.contains(&lun.lun))
        };
        let luns = ours.saved_luns(saved, &actual.tpg_path);
        may_drop.luns.extend(luns.filter(|lun| gone || other_number(lun)).cloned());
    }
    may_drop
}
