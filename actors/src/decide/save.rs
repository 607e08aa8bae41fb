//! R11: whether what is live may replace what is saved.

use crate::decide::plan::Plan;
use crate::model::{Actual, BackstoreEntry, Inventory, LunEntry, Report, SaveOutcome, Saved, Site, TpgPath};

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

/// The saved entries that may be forgotten: those of the plan, and, as long as the target is there, what has `vanished`
/// by other hands.
pub fn may_drop(plan: &Plan, vanished: &Inventory, live: &Actual) -> Inventory {
    let mut all = plan.may_drop.clone();
    if live.tpg.is_some() {
        all.extend(vanished);
    }
    all
}

/// Whether a pass comes to its save. What a plan that was given up has changed is saved by the next one, which knows what
/// may be forgotten by then.
pub fn is_reached(daemon_answers: bool, given_up: bool, report: &Report) -> bool {
    daemon_answers && !given_up && report.busy.is_none()
}

/// A state that the daemon saved without any effect.
#[derive(Debug, Default)]
pub struct Futile(Option<(Inventory, Saved)>);

impl Futile {
    /// Why a save that is due is not tried now. Each makes a backup, and 10 are kept: once more would only cost the oldest
    /// of them. An agent that is told to stop saves only what it has changed itself.
    pub fn leaves(&self, live: &Actual, report: &Report, is_stopping: bool) -> Option<&'static str> {
        if is_stopping && !report.has_changed() {
            return Some("the agent is stopping");
        }
        let same =
            |(inventory, saved): &(Inventory, Saved)| *saved == live.saved && *inventory == live.inventory();
        self.0
            .as_ref()
            .is_some_and(same)
            .then_some("the last save had no effect, and nothing has changed since")
    }

    /// What became of the save of this state.
    pub fn note(&mut self, live: &Actual, outcome: &SaveOutcome) {
        self.0 = matches!(outcome, SaveOutcome::Failed(_)).then(|| (live.inventory(), live.saved.clone()));
    }
}
