//! How each projection of ours stands, and on what evidence it may go (R2). Pure.

use crate::decide::desired::{Candidate, Desired, Verdict};
use crate::decide::history::{History, MOST_CLAIMS};
use crate::decide::reason::Reason;
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Identity, Kind, Ours};
use std::collections::{BTreeMap, BTreeSet};

/// How a projection of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It should be there.
    Wanted,
    /// An image that is pending, or unknown, may mean it; or nobody could say that it is gone.
    Claimed(String),
    /// Nothing wants it, and this is why.
    Gone(Withdrawal),
}

/// What each image may mean: what it names now and, until that can be projected and the rest is gone, what it named.
pub fn claims(
    desired: &Desired,
    before: &History,
    ours: &BTreeSet<Identity>,
) -> BTreeMap<String, BTreeSet<Identity>> {
    let mut claims = BTreeMap::new();
    for candidate in desired.candidates.iter().filter(|candidate| candidate.kind == Kind::Rootfs) {
        let mut meant = before.claims.get(&candidate.label).cloned().unwrap_or_default();
        meant.extend(named(candidate).cloned());
        if meant.len() > MOST_CLAIMS {
            meant.retain(|identity| ours.contains(identity) || named(candidate) == Some(identity));
        }
        if !meant.is_empty() {
            claims.insert(candidate.label.clone(), meant);
        }
    }
    if !desired.unknown.is_empty() {
        // An image that was not seen now may come back unreadable.
        for (label, identities) in &before.claims {
            claims.entry(label.clone()).or_insert_with(|| identities.clone());
        }
    }
    claims
}

/// Images of which nobody knows what they named before this history began: they were unreadable then, and are still.
pub fn never_read(desired: &Desired, before: &History) -> BTreeSet<String> {
    if !desired.unknown.is_empty() {
        return before.never_read.clone();
    }
    let unread = desired.candidates.iter().filter(|c| c.kind == Kind::Rootfs && is_unreadable(c));
    let unread = unread.map(|candidate| candidate.label.clone());
    unread.filter(|label| !before.begun || before.never_read.contains(label)).collect()
}

/// It should name something, and what cannot be read.
fn is_unreadable(candidate: &Candidate) -> bool {
    match &candidate.verdict {
        Verdict::Pending { claims: None, reason } => *reason != Reason::NoLink,
        Verdict::Unknown { claims: None, .. } => true,
        _ => false,
    }
}

fn named(candidate: &Candidate) -> Option<&Identity> {
    match &candidate.verdict {
        Verdict::Project(projection) => Some(&projection.identity),
        Verdict::Pending { claims, .. } | Verdict::Unknown { claims, .. } => claims.as_ref(),
    }
}

/// How this projection stands; `history` with the claims of this pass. Only where every source has answered.
pub fn standing(ours: &Ours, desired: &Desired, history: &History, bucket: &str) -> Standing {
    let Ours { identity, key } = ours;
    let is_pe = Identity::of_pe(bucket, key.as_str()) == *identity;
    let projects = |c: &Candidate| matches!(&c.verdict, Verdict::Project(live) if live.identity == *identity);
    if desired.candidates.iter().any(projects) {
        return Standing::Wanted;
    }
    if desired.objects.known().is_none_or(|objects| !objects.contains_key(key)) {
        return match desired.gone.contains(key) {
            true => Standing::Gone(Withdrawal::ObjectGone),
            false => Standing::Claimed("the listing alone says that it is gone".into()),
        };
    }
    match desired.candidates.iter().find(|c| may_mean(c, ours, is_pe, desired, history)) {
        Some(claimant) => Standing::Claimed(claimant.label.clone()),
        None => Standing::Gone(evidence(ours, is_pe, desired, history)),
    }
}

/// Whether an image that cannot be projected now may mean this projection (R2).
fn may_mean(candidate: &Candidate, ours: &Ours, is_pe: bool, desired: &Desired, history: &History) -> bool {
    if matches!(candidate.verdict, Verdict::Project(_)) {
        return false;
    }
    if candidate.kind == Kind::Pe {
        return named(candidate) == Some(&ours.identity);
    }
    let no_link = matches!(&candidate.verdict, Verdict::Pending { reason: Reason::NoLink, .. });
    let in_its_folder = !is_pe && candidate.label == ours.key.folder();
    in_its_folder
        || match history.claims.get(&candidate.label) {
            Some(meant) => meant.contains(&ours.identity),
            // It names nothing that anybody has seen. So it may name what has no record of its own; and anything at
            // all, if nobody was there to see what it named before.
            None if is_pe || no_link => false,
            None => {
                history.never_read.contains(&candidate.label) || !desired.listed.contains(ours.key.folder())
            }
        }
}

/// Why a projection that is not wanted, not claimed, and still has its object is gone.
fn evidence(ours: &Ours, is_pe: bool, desired: &Desired, history: &History) -> Withdrawal {
    let has_another = |c: &Candidate| {
        let meant = history.claims.get(&c.label).is_some_and(|meant| meant.contains(&ours.identity));
        matches!(c.verdict, Verdict::Project(_))
            && c.kind == Kind::Rootfs
            && (meant || c.label == ours.key.folder())
    };
    if is_pe {
        Withdrawal::NotSelected
    } else if desired.candidates.iter().any(has_another) {
        Withdrawal::Superseded
    } else if desired.listed.contains(ours.key.folder()) {
        Withdrawal::Untagged
    } else {
        Withdrawal::ImageGone
    }
}

/// What an operator calls it: the image that names it or has its folder, or the PE key.
pub fn image_of(ours: &Ours, history: &History, bucket: &str) -> String {
    if Identity::of_pe(bucket, ours.key.as_str()) == ours.identity {
        return ours.key.to_string();
    }
    let folder = ours.key.folder();
    let mut claimants = history.claims.iter().filter(|(_, meant)| meant.contains(&ours.identity));
    let own = history.claims.get(folder).is_some_and(|meant| meant.contains(&ours.identity));
    match claimants.next() {
        Some((claimant, _)) if !own => claimant.clone(),
        _ => folder.to_owned(),
    }
}
