//! R11: whether what is live may replace what is saved.

use crate::model::{Actual, BackstoreEntry, Identity, Inventory, LunEntry, Saved, Site, TpgPath};
use std::collections::{BTreeMap, BTreeSet};

/// R11: what to do about saveconfig.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Save {
    /// It says what is live of ours.
    Equal,
    /// It should be written.
    Due,
    /// It is torn: it is set aside, then written.
    SetAside,
    /// It must not be written, and why.
    Refused(String),
}

/// R11: whether what is live may replace what is saved. `may_drop` are the saved entries known to be unwanted. A
/// difference that is not ours is not ours to save.
pub fn save(actual: &Actual, may_drop: &Inventory, site: &Site) -> Save {
    let live = actual.inventory();
    let ours_live = live.backstores.iter().any(|b| site.recognise(b).is_some());
    let saved = match &actual.saved {
        Saved::Readable(saved) if differs_in_ours(saved, &live, site, &actual.tpg_path) => saved,
        Saved::Readable(_) => return Save::Equal,
        // With nothing of ours live there is nothing of ours to save.
        _ if !ours_live => return Save::Equal,
        Saved::Missing => return Save::Due,
        Saved::Unreadable { torn: true, .. } => return Save::SetAside,
        Saved::Unreadable { why, .. } => return Save::Refused(format!("{why}: remove or repair it")),
    };
    let lost_luns = saved.luns.difference(&live.luns).filter(|lun| !may_drop.luns.contains(lun));
    let lost_stores =
        saved.backstores.difference(&live.backstores).filter(|b| !may_drop.backstores.contains(b));
    let lost_others = saved.others.difference(&live.others).filter(|other| !may_drop.others.contains(*other));
    let lost: Vec<String> = lost_luns
        .map(|lun| format!("{}/lun_{} {}", lun.tpg, lun.lun, lun.name))
        .chain(lost_stores.map(|b| format!("{} {} {}", b.plugin, b.name, b.file)))
        .chain(lost_others.cloned())
        .collect();
    if lost.is_empty() {
        return Save::Due;
    }
    let (shown, more) =
        (lost.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>(), lost.len().saturating_sub(MOST_SHOWN));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Save::Refused(format!(
        "saving would forget what saveconfig.json holds and configfs does not show: {}{more}",
        shown.join(", ")
    ))
}

/// How many of them a text names.
const MOST_SHOWN: usize = 10;

/// Whether saved and live state differ in a backstore of ours, or in a LUN that our TPG has on one.
fn differs_in_ours(saved: &Inventory, live: &Inventory, site: &Site, tpg: &TpgPath) -> bool {
    let ours = |backstore: &BackstoreEntry| site.recognise(backstore).is_some();
    let of_ours = |inventory: &Inventory, lun: &LunEntry| {
        let leads = |b: &&BackstoreEntry| lun.leads_to_entry(b);
        lun.tpg == *tpg && inventory.backstores.iter().find(leads).is_some_and(ours)
    };
    saved.backstores.symmetric_difference(&live.backstores).any(ours)
        || saved.luns.difference(&live.luns).any(|lun| of_ours(saved, lun))
        || live.luns.difference(&saved.luns).any(|lun| of_ours(live, lun))
}

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
