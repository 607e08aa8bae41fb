//! R5: a number that was freed is kept from other images for a while: an initiator that still knows it as the old image
//! must not find another one there. Pure.

use crate::decide::history::{Freed, History};
use crate::decide::policy::Policy;
use crate::model::{Actual, Identity};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Remembers which numbers are in use, and which are not any more, `now` since boot: whoever took the LUNs away.
pub fn note_live(history: &mut History, actual: &Actual, policy: &Policy, now: Duration) {
    let ours = policy.site.ours_live(actual);
    let by_name: BTreeMap<&str, &Identity> =
        ours.iter().map(|(backstore, ours)| (backstore.name.as_str(), &ours.identity)).collect();
    let luns = actual.luns.iter().filter(|lun| lun.tpg == actual.tpg_path);
    let identity = |name: &str| by_name.get(name).map(|identity| (*identity).clone());
    let of_ours =
        luns.filter_map(|lun| Some((lun.lun, identity(&lun.name).filter(|i| lun.leads_to(i.name_str()))?)));
    let live: BTreeMap<u16, Identity> = of_ours.collect();
    for (number, identity) in std::mem::replace(&mut history.live, live) {
        if history.live.get(&number) != Some(&identity) {
            history.freed.insert(number, Freed { identity, at: now });
        }
    }
    let live = &history.live;
    history.freed.retain(|number, freed| {
        !live.contains_key(number) && now.saturating_sub(freed.at) < policy.quarantine
    });
}

/// The numbers that projections had before they were withdrawn: of several the last one.
pub(super) fn owners(freed: &BTreeMap<u16, Freed>) -> BTreeMap<&Identity, u16> {
    let mut by_age: Vec<(&u16, &Freed)> = freed.iter().collect();
    by_age.sort_by_key(|(number, freed)| (freed.at, **number));
    by_age.into_iter().map(|(number, freed)| (&freed.identity, *number)).collect()
}

/// For whom no number was free: the one that has been in quarantine for the longest.
pub(super) fn oldest<'a>(freed: &'a BTreeMap<u16, Freed>, taken: &BTreeSet<u16>) -> Option<(u16, &'a Freed)> {
    let free = freed.iter().filter(|(number, _)| !taken.contains(number));
    free.min_by_key(|(number, freed)| (freed.at, **number)).map(|(number, freed)| (*number, freed))
}
