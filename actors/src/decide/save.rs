//! R11: whether what is live may replace what is saved.

use crate::model::{Actual, Inventory, LunEntry, Saved, SavedBackstore, recognise, recognise_live};

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
pub fn save(actual: &Actual, may_drop: &Inventory, mount: &str) -> Save {
    let live = actual.inventory();
    let ours_live = actual.backstores.iter().any(|b| recognise_live(b, mount).is_some());
    let saved = match &actual.saved {
        Saved::Readable(saved) if differs_in_ours(saved, &live, mount, &actual.tpg_path) => saved,
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
        .chain(lost_stores.map(|(plugin, name, file, _)| format!("{plugin} {name} {file}")))
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
fn differs_in_ours(saved: &Inventory, live: &Inventory, mount: &str, tpg: &str) -> bool {
    let ours = |(plugin, name, file, serial): &SavedBackstore| {
        recognise(plugin, name, file, serial, mount).is_some()
    };
    let of_ours = |inventory: &Inventory, lun: &LunEntry| {
        let leads = |b: &&SavedBackstore| b.0 == lun.plugin && b.1 == lun.name;
        lun.tpg == tpg && inventory.backstores.iter().find(leads).is_some_and(ours)
    };
    saved.backstores.symmetric_difference(&live.backstores).any(ours)
        || saved.luns.difference(&live.luns).any(|lun| of_ours(saved, lun))
        || live.luns.difference(&saved.luns).any(|lun| of_ours(live, lun))
}
