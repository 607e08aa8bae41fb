//! R11: whether what is live may replace what is saved.

use crate::model::{Actual, BackstoreEntry, Inventory, LunEntry, Saved, Site, TpgPath};

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
    let lost: Vec<String> = lost_luns
        .map(|lun| format!("{}/lun_{} {}", lun.tpg, lun.lun, lun.name))
        .chain(lost_stores.map(|b| format!("{} {} {}", b.plugin, b.name, b.file)))
        .chain(saved.others.difference(&live.others).cloned())
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

/// What has been seen live, was not any more when we `left`, and still is not: saved, it may be forgotten. What is ours
/// goes by the rules of removals, and by no other way.
pub fn vanished(seen: &Inventory, left: &Inventory, live: &Inventory, site: &Site) -> Inventory {
    let foreign = |b: &&BackstoreEntry| site.recognise(b).is_none();
    let on_foreign =
        |lun: &&LunEntry| seen.backstores.iter().find(|b| lun.leads_to_entry(b)).is_none_or(|b| foreign(&b));
    let backstores = seen.backstores.difference(&live.backstores).filter(foreign);
    let backstores = backstores.filter(|b| !left.backstores.contains(*b));
    let luns = seen.luns.difference(&live.luns).filter(on_foreign);
    let luns = luns.filter(|lun| !left.luns.contains(*lun));
    Inventory {
        backstores: backstores.cloned().collect(),
        luns: luns.cloned().collect(),
        ..Inventory::default()
    }
}
