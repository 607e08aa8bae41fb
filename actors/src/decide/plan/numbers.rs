//! R5: the numbers of new LUNs. Pure.

use crate::decide::desired::Desired;
use crate::decide::evidence;
use crate::decide::history::{Freed, History};
use crate::decide::plan::quarantine::{oldest, owners};
use crate::decide::policy::Policy;
use crate::model::{Actual, Identity, Inventory, Projection, Saved};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// A number for a new LUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) lun: u16,
    /// Whose it was until lately: nothing else was free.
    pub(super) reused: Option<Freed>,
}

/// One that is saved comes back under its saved number: the nodes that run from it know it
/// by that (facts 3.6). No other takes a saved number. The others are numbered in the order in which S3 got them, so
/// that a rebuilt worker, which sees all at once, repeats what the others did one after the other.
pub(super) fn numbers<'a>(
    new: impl Iterator<Item = &'a Projection>,
    actual: &Actual,
    history: &History,
    policy: &Policy,
) -> BTreeMap<Identity, Option<Number>> {
    let mut new = new.peekable();
    let mut given: BTreeMap<Identity, Option<Number>> = BTreeMap::new();
    if new.peek().is_none() {
        return given;
    }
    let mut taken = actual.numbers();
    let nothing = Inventory::default();
    let saved = match &actual.saved {
        Saved::Readable(saved) => saved,
        Saved::Unreadable { backup, .. } => backup,
        Saved::Missing => &nothing,
    };
    let mut known: BTreeMap<Identity, u16> = BTreeMap::new();
    for (_, ours) in policy.site.ours_saved(saved) {
        for lun in ours.saved_luns(saved, &actual.tpg_path) {
            known.entry(ours.identity.clone()).or_insert(lun.lun);
        }
    }
    let freed = owners(&history.freed);
    for (identity, number) in
        history.numbers.iter().chain(freed.iter().map(|(identity, number)| (*identity, number)))
    {
        known.entry(identity.clone()).or_insert(*number);
    }
    let mut without: Vec<&Projection> = Vec::new();
    for projection in new {
        match known.get(&projection.identity).filter(|number| taken.insert(**number)) {
            Some(number) => {
                let number = Number { lun: *number, reused: None };
                given.insert(projection.identity.clone(), Some(number));
            }
            None => without.push(projection),
        }
    }
    without.sort_by_key(|projection| (projection.modified, &projection.identity));
    taken.extend(saved.luns.iter().filter(|lun| lun.tpg == actual.tpg_path).map(|lun| lun.lun));
    taken.extend(history.numbers.values());
    let mut in_use = taken.clone();
    taken.extend(history.freed.keys());
    let numbers = allocate(without.iter().map(|p| &p.identity), &taken, policy.luns.clone());
    in_use.extend(numbers.values().flatten());
    for Projection { identity, .. } in without {
        let free = numbers.get(identity).copied().flatten().map(|lun| Number { lun, reused: None });
        let number = free.or_else(|| {
            let (lun, freed) =
                oldest(&history.freed, &in_use).filter(|(lun, _)| policy.luns.contains(lun))?;
            in_use.insert(lun);
            Some(Number { lun, reused: Some(freed.clone()) })
        });
        given.insert(identity.clone(), number);
    }
    given
}

/// The numbers of a torn saveconfig.json's backup, for what is not live again yet. The file that is saved next does
/// not have them any more. Kept until each is live, or nothing that is wanted can mean it.
pub(super) fn numbers_to_keep(
    desired: &Desired,
    actual: &Actual,
    history: &History,
    policy: &Policy,
) -> BTreeMap<Identity, u16> {
    let mut numbers = history.numbers.clone();
    if let Saved::Unreadable { backup, .. } = &actual.saved {
        for (_, ours) in policy.site.ours_saved(backup) {
            let saved = ours.saved_luns(backup, &actual.tpg_path).next();
            numbers.extend(saved.map(|lun| (ours.identity, lun.lun)));
        }
    }
    numbers.retain(|identity, _| {
        !actual.is_projected(identity) && evidence::may_be_wanted(identity, desired, history)
    });
    numbers
}

/// Numbers for new LUNs (R5): each searches from its own start, upwards and round, past the numbers `taken`; one after
/// the other as they stand in `new`, which has to be the same order on every worker. `None` where all of `range` is in
/// use.
pub fn allocate<'a>(
    new: impl IntoIterator<Item = &'a Identity>,
    taken: &BTreeSet<u16>,
    range: RangeInclusive<u16>,
) -> BTreeMap<Identity, Option<u16>> {
    let mut taken = taken.clone();
    let (first, count) = (*range.start(), range.end().saturating_sub(*range.start()).saturating_add(1));
    let numbered = new.into_iter().map(|identity| {
        let start = start(identity, count);
        let number = (start..count).chain(0..start).map(|n| first + n).find(|n| taken.insert(*n));
        (identity.clone(), number)
    });
    numbered.collect()
}

/// The number in this range at which its search starts: equal on every worker.
pub fn own_lun(identity: &Identity, range: &RangeInclusive<u16>) -> u16 {
    let count = range.end().saturating_sub(*range.start()).saturating_add(1);
    range.start().saturating_add(start(identity, count))
}

/// Where in a range of `count` numbers the search starts.
fn start(identity: &Identity, count: u16) -> u16 {
    // The remainder of a u16 fits a u16.
    (identity.leading_number() % u32::from(count.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectKey;

    fn pe(n: usize) -> Identity {
        Identity::of_pe("boot-images", &ObjectKey::new(format!("PE/{n}")))
    }

    #[test]
    fn r5_numbering_one_after_the_other_and_all_at_once_in_the_same_order_come_to_the_same() {
        let images: Vec<Identity> = (0..300).map(pe).collect();
        let at_once = allocate(&images, &BTreeSet::new(), 1..=16383);
        let mut taken = BTreeSet::new();
        for image in &images {
            let number = allocate([image], &taken, 1..=16383)[image];
            assert_eq!(number, at_once[image]);
            taken.extend(number);
        }
        let numbers: BTreeSet<u16> = at_once.values().flatten().copied().collect();
        assert_eq!(numbers.len(), 300);
        assert!(numbers.iter().all(|n| (1..=16383).contains(n)));
    }

    #[test]
    fn r5_a_number_in_use_is_never_given_again_and_a_full_range_gives_none() {
        let images: Vec<Identity> = (0..4).map(pe).collect();
        let given = allocate(&images, &BTreeSet::from([5, 6]), 5..=8);
        let numbers: BTreeSet<Option<u16>> = given.values().copied().collect();
        assert_eq!(numbers, BTreeSet::from([None, Some(7), Some(8)]));
    }

    #[test]
    fn r5_the_start_of_the_number_search_depends_on_the_identity_alone() {
        let identity = Identity::of_pe("boot-images", &ObjectKey::new("PE/CPE-base.x86_64-24.11.squashfs"));
        assert_eq!(start(&identity, 16383), (0xde4c_c04e_u32 % 16383) as u16);
        assert!(start(&identity, 7) < 7);
        let only = allocate([&identity], &BTreeSet::new(), 100..=16383)[&identity];
        assert_eq!(only, Some(own_lun(&identity, &(100..=16383))), "alone it gets its own");
        assert_eq!(start(&identity, 0), 0);
    }
}
