//! From what should be and what is to what is to be done. Pure.

use crate::adding::add_projections;
use crate::desired::{Candidate, Desired, Standing, Verdict, Withdrawal};
use crate::guard::{self, History, Hold, Limits, LookTime, Ours, Removal};
use crate::identity::Identity;
use crate::model::{Actual, Backstore, Cause, Inventory, Kind, Saved, Step};
use crate::reason::Reason;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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
    /// Whether an object whose ETag is not its manifest's may be proven by its MD5.
    pub verify_md5: bool,
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
    /// Saved entries known to be unwanted: a save may forget them (R11).
    pub may_drop: Inventory,
    /// To be remembered.
    pub history: History,
}

/// What to do, given what should be, what is and what was. `look` is when that was seen.
pub fn plan(
    desired: &Desired,
    actual: &Actual,
    history: &History,
    policy: &Policy,
    look: LookTime,
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
    let guard::Judgement { removals, first_missed, confirmed } =
        guard::removals(due, ours.len(), unknown, history, &policy.limits, look, confirmed);

    let mut plan = Plan {
        changes: Vec::new(),
        held: Vec::new(),
        pending: Vec::new(),
        odd: Vec::new(),
        unknown: desired.unknown.clone(),
        live: 0,
        may_drop: may_drop(desired, actual, policy, &claims),
        history: History { first_missed, confirmed, claims },
    };
    for (removal, verdict) in removals {
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
    let named = |candidate: &Candidate| {
        let identity = match &candidate.verdict {
            Verdict::Project(projection) => Some(projection.identity.clone()),
            Verdict::Pending { claims, .. } => claims.clone(),
            Verdict::Unknown(_) => None,
        };
        Some((candidate.label.clone(), identity.or_else(|| before.get(&candidate.label).cloned())?))
    };
    let mut claims: BTreeMap<String, Identity> = desired.candidates.iter().filter_map(named).collect();
    if !desired.unknown.is_empty() {
        // An image that was not seen now may come back unreadable.
        before.iter().for_each(|(label, identity)| {
            claims.entry(label.clone()).or_insert_with(|| identity.clone());
        });
    }
    claims
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

/// R11: saved entries of ours that everything that answered says are unwanted, and LUNs of ours that are live under
/// another number, or whose number another LUN has; none while anything is unknown.
fn may_drop(
    desired: &Desired,
    actual: &Actual,
    policy: &Policy,
    claims: &BTreeMap<String, Identity>,
) -> Inventory {
    let mut may_drop = Inventory::default();
    let Saved::Readable(saved) = &actual.saved else { return may_drop };
    if !desired.unknown.is_empty() {
        return may_drop;
    }
    let numbers = actual.numbers();
    for (backstore, ours) in guard::saved_ours(saved, &policy.mount) {
        let standing = desired.standing(&ours.identity, &ours.key, &policy.bucket, claims);
        let gone = matches!(standing, Standing::Gone(_));
        if gone {
            may_drop.backstores.insert(backstore.clone());
        }
        let any_number = gone || actual.is_projected(&ours.identity);
        let luns = guard::saved_luns(saved, &ours, &actual.tpg_path);
        may_drop.luns.extend(luns.filter(|lun| any_number || numbers.contains(&lun.lun)).cloned());
    }
    may_drop
}
