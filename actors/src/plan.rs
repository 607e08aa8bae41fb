//! From what should be and what is to what is to be done. Pure.

use crate::desired::{Desired, Standing, Verdict, Withdrawal};
use crate::guard::{self, History, Hold, Limits, Ours, Removal};
use crate::identity::{Identity, allocate};
use crate::model::{Actual, Backstore, Cause, Kind, Projection, Saved, Step};
use crate::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The boot bucket.
    pub bucket: String,
    /// Its mount point.
    pub mount: String,
    /// How removals are limited.
    pub limits: Limits,
    /// Numbers for new LUNs.
    pub luns: RangeInclusive<u16>,
}

/// What is to be done about one image. Its steps are done in order; the first that fails ends this change alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Add or remove.
    pub action: Action,
    /// IMS image id, PE key, or for a removal the key.
    pub label: String,
    /// Who it is.
    pub identity: Identity,
    /// The LUN number.
    pub lun: Option<u16>,
    /// Its file.
    pub file: String,
    /// What to tell LIO.
    pub steps: Vec<Step>,
}

/// Which way a change goes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new projection, of this many bytes.
    Project(Kind, u64),
    /// The end of one.
    Withdraw(Withdrawal),
}

/// A removal that has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub removal: Removal,
    /// Why.
    pub hold: Hold,
}

/// An image that is not projected, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its kind.
    pub kind: Kind,
    /// IMS image id, or PE key.
    pub label: String,
    /// Why.
    pub reason: Reason,
}

/// What a pass is going to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In this order: removals first, so that no dangling file stands in a create's way (FACTS 2.10).
    pub changes: Vec<Change>,
    /// Removals that wait.
    pub held: Vec<Held>,
    /// Images that wait.
    pub pending: Vec<Pending>,
    /// Live projections of ours that look wrong but must not be touched: name and what is wrong.
    pub odd: Vec<(String, &'static str)>,
    /// What did not answer.
    pub unknown: Vec<Cause>,
    /// Wanted projections that are live already.
    pub live: usize,
    /// Backstores known to be unwanted: saving may drop them (R11).
    pub may_drop: BTreeSet<String>,
    /// To be remembered.
    pub history: History,
}

/// What to do, given what should be, what is and what was. `now` is since the reconciler started.
pub fn plan(
    desired: &Desired,
    actual: &Actual,
    history: &History,
    policy: &Policy,
    now: Duration,
    confirmed: Option<&str>,
) -> Plan {
    let ours: Vec<(&Backstore, Ours)> = actual
        .backstores
        .iter()
        .filter_map(|b| Some((b, guard::recognise_live(b, &policy.mount)?)))
        .collect();
    let claims = claims(desired, &history.claims);
    let due = due_removals(desired, actual, &ours, policy, &claims);
    let unknown = desired.unknown.first();
    let missed = &history.first_missed;
    let (judged, first_missed) =
        guard::removals(due, ours.len(), unknown, missed, &policy.limits, now, confirmed);

    let mut plan = Plan {
        changes: Vec::new(),
        held: Vec::new(),
        pending: Vec::new(),
        odd: Vec::new(),
        unknown: desired.unknown.clone(),
        live: 0,
        may_drop: may_drop(desired, actual, policy, &claims),
        history: History { first_missed, claims },
    };
    for (removal, verdict) in judged {
        match verdict {
            Ok(()) => plan.changes.push(withdraw(actual, removal, policy)),
            Err(hold) => plan.held.push(Held { removal, hold }),
        }
    }
    add_projections(&mut plan, desired, actual, policy);
    plan
}

/// What each image names now, or named when last it could be read.
fn claims(desired: &Desired, before: &BTreeMap<String, Identity>) -> BTreeMap<String, Identity> {
    let named = |candidate: &crate::desired::Candidate| {
        let identity = match &candidate.verdict {
            Verdict::Project(projection) => Some(projection.identity.clone()),
            Verdict::Pending { claims, .. } => claims.clone(),
            Verdict::Unknown(_) => None,
        };
        Some((candidate.label.clone(), identity.or_else(|| before.get(&candidate.label).cloned())?))
    };
    desired.candidates.iter().filter_map(named).collect()
}

fn due_removals(
    desired: &Desired,
    actual: &Actual,
    ours: &[(&Backstore, Ours)],
    policy: &Policy,
    claims: &BTreeMap<String, Identity>,
) -> Vec<Removal> {
    let gone = |(backstore, ours): &(&Backstore, Ours)| {
        let standing = desired.standing(&ours.identity, &ours.key, &policy.bucket, claims);
        let Standing::Gone(why) = standing else { return None };
        let mut luns = actual.luns_of(&backstore.plugin, &backstore.name);
        let foreign_lun = luns.find(|lun| lun.tpg != actual.tpg_path).map(|lun| lun.tpg.clone());
        Some(Removal { ours: ours.clone(), why, foreign_lun })
    };
    ours.iter().filter_map(gone).collect()
}

/// The LUNs first, then the backstore (FACTS 2.9).
fn withdraw(actual: &Actual, removal: Removal, policy: &Policy) -> Change {
    let Removal { ours: Ours { identity, key }, why, .. } = removal;
    let name = identity.name();
    let luns: Vec<u16> = actual.luns_of("fileio", name.as_str()).map(|lun| lun.lun).collect();
    let mut steps: Vec<Step> =
        luns.iter().map(|lun| Step::DeleteLun { lun: *lun, name: name.clone() }).collect();
    steps.push(Step::DeleteBackstore { name, wwn: identity.wwn().clone() });
    Change {
        action: Action::Withdraw(why),
        label: key.to_string(),
        lun: luns.first().copied(),
        file: format!("{}/{key}", policy.mount),
        identity,
        steps,
    }
}

/// R11: saved backstores of ours that everything that answered says are unwanted; none while anything is unknown.
fn may_drop(
    desired: &Desired,
    actual: &Actual,
    policy: &Policy,
    claims: &BTreeMap<String, Identity>,
) -> BTreeSet<String> {
    let Saved::Readable(saved) = &actual.saved else { return BTreeSet::new() };
    if !desired.unknown.is_empty() {
        return BTreeSet::new();
    }
    let unwanted = saved.backstores.iter().filter(|(plugin, name, file, serial)| {
        guard::recognise(plugin, name, file, serial, &policy.mount).is_some_and(|ours| {
            let standing = desired.standing(&ours.identity, &ours.key, &policy.bucket, claims);
            matches!(standing, Standing::Gone(_))
        })
    });
    unwanted.map(|(_, name, _, _)| name.clone()).collect()
}

fn add_projections<'a>(plan: &mut Plan, desired: &'a Desired, actual: &'a Actual, policy: &Policy) {
    // What this very plan removes first stands in nobody's way.
    let going: BTreeSet<String> =
        plan.changes.iter().map(|change| change.identity.name().to_string()).collect();
    let mut files: BTreeMap<&str, String> = actual
        .backstores
        .iter()
        .filter(|b| !going.contains(&b.name))
        .map(|b| (b.file.as_str(), b.name.clone()))
        .collect();
    let mut new: BTreeMap<Identity, (&Projection, Vec<Step>)> = BTreeMap::new();
    let mut pending = |kind, label: &str, reason| {
        plan.pending.push(Pending { kind, label: label.to_owned(), reason });
    };
    for candidate in &desired.candidates {
        match &candidate.verdict {
            Verdict::Unknown(_) => {}
            Verdict::Pending { reason, .. } => pending(candidate.kind, &candidate.label, reason.clone()),
            Verdict::Project(projection) => match steps_to(projection, actual, &mut files) {
                Ok(Some(steps)) => {
                    new.insert(projection.identity.clone(), (projection, steps));
                }
                Ok(None) => {
                    plan.live += 1;
                    plan.odd.extend(oddities(projection, actual));
                }
                Err(reason) => pending(projection.kind, &projection.label, reason),
            },
        }
    }
    if let Err(reason) = guard::may_add(actual) {
        new.values().for_each(|(p, _)| pending(p.kind, &p.label, reason.clone()));
        return;
    }
    for (identity, number) in allocate(new.keys(), &actual.numbers(), policy.luns.clone()) {
        let Some((projection, mut steps)) = new.remove(&identity) else { continue };
        let Some(lun) = number else {
            pending(projection.kind, &projection.label, Reason::NoFreeNumber);
            continue;
        };
        steps.push(Step::CreateLun { lun, name: identity.name() });
        plan.changes.push(Change {
            action: Action::Project(projection.kind, projection.size),
            label: projection.label.clone(),
            identity,
            lun: Some(lun),
            file: projection.file.to_string(),
            steps,
        });
    }
}

/// What has to be done before the LUN can be created; `None` if it is there already.
///
/// `files` are those in use, with who uses them; a second backstore on one is refused.
fn steps_to<'a>(
    projection: &'a Projection,
    actual: &Actual,
    files: &mut BTreeMap<&'a str, String>,
) -> Result<Option<Vec<Step>>, Reason> {
    let name = projection.identity.name();
    let file = projection.file.as_str();
    let same_name = actual.backstores.iter().find(|b| b.plugin == "fileio" && b.name == name.as_str());
    match same_name {
        Some(b) if b.file != file || b.serial != projection.identity.wwn().as_str() => {
            return Err(Reason::NameTaken(b.name.clone()));
        }
        Some(b) => {
            if actual.is_projected(&projection.identity) {
                return Ok(None);
            }
            // With its LUN gone, the product name can still be put right (FACTS 2.4).
            return Ok(Some(if b.model_alias { vec![] } else { vec![Step::AliasModel { name }] }));
        }
        None => {}
    }
    if let Some(other) = files.get(file) {
        return Err(Reason::FileTaken(other.clone()));
    }
    files.insert(file, name.to_string());
    Ok(Some(vec![
        Step::CreateBackstore {
            name: name.clone(),
            file: projection.file.clone(),
            wwn: projection.identity.wwn().clone(),
        },
        Step::AliasModel { name },
    ]))
}

/// What is wrong with a live projection that can only be put right by taking it away from its nodes.
fn oddities(projection: &Projection, actual: &Actual) -> Vec<(String, &'static str)> {
    let name = projection.identity.name();
    let Some(live) = actual.backstores.iter().find(|b| b.plugin == "fileio" && b.name == name.as_str())
    else {
        return Vec::new();
    };
    let mut odd = Vec::new();
    if !live.model_alias {
        odd.push((projection.label.clone(), "model_alias_off"));
    }
    if live.size != projection.size {
        odd.push((projection.label.clone(), "content_changed"));
    }
    odd
}
