//! From what should be and what is to what is to be done. Pure.

use crate::decide::desired::{Candidate, Desired, Verdict};
use crate::decide::evidence::{Claims, Standing};
use crate::decide::history::History;
use crate::decide::in_use::{self, Unused};
use crate::decide::live::LiveFile;
use crate::decide::plan::change::{Action, Change, Drifted, Held, Pending, Seen, Unclear};
use crate::decide::plan::findings::Finding;
use crate::decide::policy::{OnChange, Policy};
use crate::decide::reason::Reason;
use crate::decide::removals::{Hold, Judged, Removal, RemovalContext, Tripped};
use crate::decide::withdrawal::Withdrawal;
use crate::decide::{evidence, removals};
use crate::model::{
    Actual, Backstore, BackstoreEntry, Cause, FILEIO, Identity, ImageRef, Inventory, LunEntry, Ours, Saved,
    Step, TpgPath,
};

pub mod additions;
pub mod change;
pub mod findings;
pub mod numbers;
pub mod quarantine;
mod replaced;
mod succession;

use std::collections::{BTreeMap, BTreeSet};

/// What became of the code that an operator gave (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// There was none, or a source did not answer: then it waits for the next pass.
    NotJudged,
    /// It is that of what is held.
    Matched,
    /// It is not.
    Unmatched,
}

/// What a pass is going to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order of `rank`: what blocks others first, what has to be taken down last (facts 2.10).
    pub changes: Vec<Change>,
    /// Removals that wait.
    pub held: Vec<Held>,
    /// Whether an operator has to confirm some of them.
    pub tripped: Option<Tripped>,
    /// Whether the code that an operator has just given is that of the removals that waited; `None` if there was no
    /// code, or no evidence to compare it with.
    pub confirmation: Confirmation,
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
    let Seen { desired, actual, mounts, time, .. } = seen;
    let ours: Vec<(&Backstore, Ours)> = policy.site.ours_live(actual);
    let saved_only = saved_only(actual, &ours, policy);
    let all: BTreeSet<Identity> =
        ours.iter().map(|(_, ours)| ours).chain(&saved_only).map(|ours| ours.identity.clone()).collect();

    let mut history = History { claims: evidence::claims(desired, before, &all), ..before.clone() };
    history.never_read = evidence::never_read(desired, before);
    history.begun |= desired.unknown.is_empty();
    history.failed.clear();
    history.mounts.clone_from(&mounts.opened);
    history.contents = replaced::contents(desired, &ours, &saved_only, before);
    history.numbers = numbers::numbers_to_keep(desired, actual, &history, policy);
    quarantine::note_live(&mut history, actual, policy, time.ended);
    history.usage =
        in_use::usage(ours.iter().map(|(_, ours)| ours), actual, &before.usage, policy.in_use, time.ended);

    let due = due_removals(seen, &ours, &saved_only, &history, policy);
    let used = |removal: &Removal| {
        let identity = &removal.ours.identity;
        let in_use = in_use::in_use(identity, &history.usage, actual, policy.in_use, time.ended)?;
        Some((identity.clone(), in_use))
    };
    let in_use = due.iter().filter_map(used).collect();
    let (limits, ours_in_all) = (&policy.limits, all.len());
    let context =
        RemovalContext { ours: ours_in_all, history: before, limits, time, in_use: &in_use, confirmed };
    let judgement = removals::removals(due, context);
    let mut tripped = None;
    let mut confirmation = Confirmation::NotJudged;
    let mut removals = Vec::new();
    if desired.unknown.is_empty() {
        confirmation = match (confirmed, judgement.confirmed) {
            (None, _) => Confirmation::NotJudged,
            (Some(_), true) => Confirmation::Matched,
            (Some(_), false) => Confirmation::Unmatched,
        };
        (history.looks, history.breaker, history.in_use) =
            (judgement.looks, judgement.breaker, judgement.in_use);
        (removals, tripped) = (judgement.removals, judgement.tripped);
    } else {
        // Without evidence nothing is due; what was seen before has to be seen anew.
        history.restart_looks();
    }

    let mut held = Vec::new();
    let mut going = Vec::new();
    for Judged { removal, hold } in removals {
        match hold {
            None => going.push(removal),
            Some(hold) => held.push(Held::new(removal, hold, &history)),
        }
    }
    let (gone, additions) = loop {
        let gone: BTreeSet<Identity> = going.iter().map(|removal| removal.ours.identity.clone()).collect();
        let additions = additions::additions(seen, &gone, &mounts.dead, &history, policy);
        let comes = |removal: &Removal| succession::comes(removal, seen, &additions.changes, &history);
        let (stays_due, stranded): (Vec<_>, Vec<_>) = going.into_iter().partition(comes);
        going = stays_due;
        if stranded.is_empty() {
            break (gone, additions);
        }
        held.extend(stranded.into_iter().map(|removal| Held::new(removal, Hold::Successor, &history)));
    };
    let live_names: BTreeSet<&Identity> = ours.iter().map(|(_, ours)| &ours.identity).collect();
    let (mut changes, mut forgotten) = (additions.changes, BTreeSet::new());
    let mut pending = additions.pending;
    for removal in going {
        let image = evidence::image_of(&removal.ours, &history);
        if removal.why == Withdrawal::Replaced {
            pending.push(Pending { image: image.clone(), reason: Reason::Replaced });
        }
        if live_names.contains(&removal.ours.identity) {
            let after = succession::to_wait_for(&removal, desired, &history);
            let unused = (!in_use.contains_key(&removal.ours.identity))
                .then(|| Unused::seen(&removal.ours.identity, actual, policy.in_use.by));
            changes.push(Change { unused, ..withdraw(seen, removal, image, after, &history, policy) });
        } else {
            forgotten.insert(removal.ours.identity);
        }
    }
    // What failed last time must not keep the others from their turn for ever.
    let swapped = succession::swapped_files(&changes);
    changes.sort_by_cached_key(|change| {
        (rank(change, &swapped), before.failed.contains(&change.identity), swap_order(change, &swapped))
    });
    let projected = actual.projected_names();
    let findings = findings::all(seen, &ours, &changes, &history, policy);
    Plan {
        may_drop: may_drop(desired, actual, policy, &gone),
        live: ours.iter().filter(|(_, o)| projected.contains(o.identity.name_str())).count(),
        unknown: desired.unknown.clone(),
        unclear: unclear(desired),
        drifted: additions.drifted,
        pending,
        changes,
        held,
        tripped,
        confirmation,
        findings,
        forgotten,
        history,
    }
}

/// What was cut short first, for it blocks all others; then removals, then what is new, then what waits for something
/// new. Last what has to be taken down before it can come back: whether anything can be made now is known by then.
fn rank(change: &Change, swapped: &BTreeSet<String>) -> u8 {
    let discards = |step: &Step| matches!(step, Step::DiscardLun { .. } | Step::DiscardBackstore { .. });
    match &change.action {
        _ if swapped.contains(&change.file) => 4,
        Action::Withdraw(_) if change.after.is_empty() => 1,
        Action::Withdraw(_) => 3,
        _ if change.steps.iter().any(discards) => 0,
        Action::Project(_) => 2,
        Action::Remake(_) => 5,
    }
}

/// Of a file that is swapped first the removal, then the creation, and nothing in between.
fn swap_order(change: &Change, swapped: &BTreeSet<String>) -> Option<(String, bool)> {
    let is_new = !matches!(change.action, Action::Withdraw(_));
    swapped.contains(&change.file).then(|| (change.file.clone(), is_new))
}

/// Saved and not live: a boot that found the mount not there leaves it so. It goes only as a live one goes (R2, R3).
fn saved_only(actual: &Actual, live: &[(&Backstore, Ours)], policy: &Policy) -> Vec<Ours> {
    let Saved::Readable(saved) = &actual.saved else { return Vec::new() };
    let live: BTreeSet<&Identity> = live.iter().map(|(_, ours)| &ours.identity).collect();
    policy
        .site
        .ours_saved(saved)
        .map(|(_, ours)| ours)
        .filter(|ours| !live.contains(&ours.identity))
        .collect()
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
    policy: &Policy,
) -> Vec<Removal> {
    let Seen { desired, actual, live: files, .. } = seen;
    if !desired.unknown.is_empty() {
        return Vec::new();
    }
    let foreign_lun = |backstore: &Backstore| {
        actual.luns_of(backstore).find(|lun| lun.tpg != actual.tpg_path).map(|lun| lun.tpg.clone())
    };
    // An emptied bucket, or another one: like an IMS that lists nothing it is confirmed by an operator, or it is wrong.
    let all = || live.iter().map(|(_, ours)| ours).chain(saved_only);
    let nothing_left = all().all(|ours| desired.gone.contains(&ours.key));
    let escapes = |ours: &Ours| matches!(files.files.get(&ours.key), Some(LiveFile::Escapes(_)));
    let claims = Claims { desired, history };
    let of = |ours: &Ours, foreign_lun: Option<TpgPath>, live: Option<&Backstore>| {
        let why = match claims.standing(ours) {
            Standing::Gone(why) => why,
            _ if live.is_some() && escapes(ours) => Withdrawal::Escaped,
            Standing::Wanted if replaced::is_replaced(ours, live, desired, history) => Withdrawal::Replaced,
            _ => return None,
        };
        let needs_confirmation = match why {
            Withdrawal::Escaped => true,
            Withdrawal::Replaced => policy.pe.on_change == OnChange::Hold,
            Withdrawal::ImageGone => desired.nothing_listed,
            Withdrawal::ObjectGone => nothing_left,
            Withdrawal::Untagged | Withdrawal::Superseded | Withdrawal::NotSelected => false,
        };
        Some(Removal { ours: ours.clone(), why, foreign_lun, needs_confirmation })
    };
    let live = live.iter().filter_map(|(backstore, ours)| of(ours, foreign_lun(backstore), Some(backstore)));
    live.chain(saved_only.iter().filter_map(|ours| of(ours, None, None))).collect()
}

/// The LUNs first, then the backstore (facts 2.9).
fn withdraw(
    seen: Seen<'_>,
    removal: Removal,
    image: ImageRef,
    after: Vec<Identity>,
    history: &History,
    policy: &Policy,
) -> Change {
    let (actual, Removal { ours: Ours { identity, key, .. }, why, .. }) = (seen.actual, removal);
    let name = identity.name();
    let luns: Vec<u16> = actual.luns_of_fileio(name.as_str()).map(|lun| lun.lun).collect();
    let mut steps: Vec<Step> =
        luns.iter().map(|lun| Step::DeleteLun { lun: *lun, name: name.clone() }).collect();
    // Its LUN's removal was cut short: it was ours by our own history, and leads to nothing any more.
    let half_gone = quarantine::owners(&history.freed).get(&identity).copied();
    steps.extend(half_gone.filter(|lun| actual.is_bare(*lun)).map(|lun| Step::DiscardLun { lun }));
    steps.push(Step::DeleteBackstore { name, wwn: identity.wwn().clone() });
    Change {
        action: Action::Withdraw(why),
        image,
        lun: luns.first().copied(),
        own_lun: None,
        file: policy.site.path_of(&key),
        after,
        unused: None,
        reused: None,
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
    let ours: BTreeMap<&str, (&BackstoreEntry, Ours)> = policy
        .site
        .ours_saved(saved)
        .map(|(backstore, ours)| (backstore.name.as_str(), (backstore, ours)))
        .collect();
    let goes = |(_, ours): &&(&BackstoreEntry, Ours)| gone.contains(&ours.identity);
    may_drop.backstores.extend(ours.values().filter(goes).map(|(backstore, _)| (*backstore).clone()));

    let (live, numbers) = (actual.luns.iter().collect::<BTreeSet<_>>(), actual.numbers());
    let in_our_tpg = |lun: &&LunEntry| lun.plugin == FILEIO && lun.tpg == actual.tpg_path;
    for lun in saved.luns.iter().filter(in_our_tpg) {
        let Some((_, ours)) = ours.get(lun.name.as_str()) else { continue };
        // Under its own number it stays saved, even if this pass should take it down and not get it up again.
        let other_number =
            || !live.contains(lun) && (actual.is_projected(&ours.identity) || numbers.contains(&lun.lun));
        if gone.contains(&ours.identity) || other_number() {
            may_drop.luns.insert(lun.clone());
        }
    }
    may_drop
}
