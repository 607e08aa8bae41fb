//! What others have taken away since we run: it may be forgotten when the rest is saved (R11). Pure.

use crate::model::{Actual, BackstoreEntry, Identity, Inventory, LunEntry, Site, TpgPath};
use std::collections::{BTreeMap, BTreeSet};

/// What has been live since we run. What of it is gone was removed on purpose, unless the target was stopped in between:
/// that takes everything away, and a restore brings it back piece by piece, portals and node ACLs last.
#[derive(Debug, Default)]
pub struct Witness {
    seen: Inventory,
    /// What was live when we left.
    left: Option<Inventory>,
    /// The folders of our backstores by then: a restore makes new ones.
    inodes: BTreeMap<Identity, u64>,
}

impl Witness {
    /// A pass begins, and `live` is what `actual` shows. Gives what has been seen live, was not any more when we left,
    /// and still is not: saved, it may be forgotten. What is ours, and what our TPG has on it, goes by the rules of
    /// removals and by no other way.
    pub fn arrive(&mut self, actual: &Actual, live: &Inventory, site: &Site) -> Inventory {
        let inodes = inodes(actual, site);
        let is_known = |(identity, inode)| self.inodes.get(identity).is_none_or(|known| known == inode);
        if actual.tpg.is_none() || !inodes.iter().all(is_known) {
            *self = Witness::default();
        }
        let vanished = self
            .left
            .as_ref()
            .map(|left| self.vanished(left, live, site, &actual.tpg_path))
            .unwrap_or_default();
        self.seen.extend(live);
        self.inodes.extend(inodes);
        vanished
    }

    /// A pass ends, and leaves this behind. Without a look at it, what was seen before says nothing any more.
    pub fn leave(&mut self, after: Option<&Actual>, site: &Site) {
        let Some(after) = after else {
            *self = Witness::default();
            return;
        };
        let live = after.inventory();
        self.seen.extend(&live);
        self.inodes.extend(inodes(after, site));
        self.left = Some(live);
    }

    fn vanished(&self, left: &Inventory, live: &Inventory, site: &Site, tpg: &TpgPath) -> Inventory {
        let Inventory { backstores, luns, others } = &self.seen;
        let foreign = |b: &&BackstoreEntry| site.recognise(b).is_none();
        let foreign_lun = |lun: &&LunEntry| {
            lun.tpg != *tpg || backstores.iter().find(|b| lun.leads_to_entry(b)).is_none_or(|b| foreign(&b))
        };
        Inventory {
            backstores: gone(backstores, &left.backstores, &live.backstores)
                .filter(foreign)
                .cloned()
                .collect(),
            luns: gone(luns, &left.luns, &live.luns).filter(foreign_lun).cloned().collect(),
            others: gone(others, &left.others, &live.others).cloned().collect(),
        }
    }
}

fn gone<'a, T: Ord>(
    seen: &'a BTreeSet<T>,
    left: &'a BTreeSet<T>,
    live: &'a BTreeSet<T>,
) -> impl Iterator<Item = &'a T> {
    seen.difference(live).filter(|entry| !left.contains(*entry))
}

fn inodes(actual: &Actual, site: &Site) -> BTreeMap<Identity, u64> {
    site.ours_live(actual).into_iter().map(|(backstore, ours)| (ours.identity, backstore.inode)).collect()
}
