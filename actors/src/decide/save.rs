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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{actual, backstore, lun, nothing, report, saved, site};
    use crate::model::Backstore;

    fn ours() -> Actual {
        actual(vec![backstore()], vec![lun(7)])
    }

    fn decided(actual: &Actual) -> Save {
        save(actual, &nothing(), &site())
    }

    #[test]
    fn r11_where_nothing_of_ours_is_live_no_file_is_made_or_set_aside() {
        let torn = Saved::Unreadable { why: "torn".into(), torn: true, backup: nothing() };
        let folder = Saved::Unreadable { why: "a folder".into(), torn: false, backup: nothing() };
        let with = |saved: &Saved, actual: Actual| decided(&Actual { saved: saved.clone(), ..actual });
        let foreign = || actual(vec![Backstore { name: "scratch".into(), ..backstore() }], Vec::new());
        for saved in [&Saved::Missing, &torn, &folder] {
            assert_eq!(with(saved, foreign()), Save::Equal, "{saved:?}");
        }
        assert_eq!(with(&Saved::Missing, ours()), Save::Due);
        assert_eq!(with(&torn, ours()), Save::SetAside);
        assert!(matches!(with(&folder, ours()), Save::Refused(_)));
    }

    #[test]
    fn r11_one_difference_of_ours_is_enough_and_one_of_others_is_none() {
        let after = |change: fn(&mut Actual)| {
            let mut changed = saved(ours());
            change(&mut changed);
            decided(&changed)
        };
        assert_eq!(after(|_| ()), Save::Equal);
        assert_eq!(after(|a| a.luns[0].lun = 8), Save::Refused(refusal("lun_7")), "another number");
        assert_eq!(after(|a| a.luns.push(lun(8))), Save::Due, "one more LUN");
        assert!(matches!(after(|a| a.luns.clear()), Save::Refused(_)), "a LUN less");
        let one_more =
            |a: &mut Actual| a.backstores.push(Backstore { plugin: "block".into(), ..backstore() });
        assert_eq!(after(one_more), Save::Equal, "a backstore of others");
        assert_eq!(
            decided(&Actual { backstores: ours().backstores, ..saved(actual(Vec::new(), vec![lun(7)])) }),
            Save::Due,
            "a backstore of ours"
        );
    }

    fn refusal(lun: &str) -> String {
        let shown = format!("{}/{lun} {}", crate::decide::sample::tpg(), backstore().name);
        format!("saving would forget what saveconfig.json holds and configfs does not show: {shown}")
    }

    #[test]
    fn r11_a_refusal_names_ten_of_what_would_be_forgotten_and_counts_the_rest() {
        let lost = |count: u16| {
            let all = saved(actual(vec![backstore()], (0..count).map(lun).collect()));
            let Save::Refused(why) = decided(&Actual { luns: Vec::new(), ..all }) else { panic!() };
            (why.matches("/lun_").count(), why)
        };
        let (named, why) = lost(10);
        assert!(named == 10 && !why.contains("more"), "{why}");
        let (named, why) = lost(13);
        assert!(named == 10 && why.ends_with(" and 3 more"), "{why}");
    }

    #[test]
    fn r11_what_was_saved_in_vain_is_not_saved_again_until_something_is_another() {
        let mut futile = Futile::default();
        assert_eq!(futile.leaves(&ours(), &report(), false), None);
        futile.note(&ours(), &SaveOutcome::Failed("full disk".into()));
        assert!(futile.leaves(&ours(), &report(), false).is_some());
        assert_eq!(futile.leaves(&saved(ours()), &report(), false), None, "another file");
        assert_eq!(futile.leaves(&actual(Vec::new(), Vec::new()), &report(), false), None, "another state");
        futile.note(&ours(), &SaveOutcome::Written);
        assert_eq!(futile.leaves(&ours(), &report(), false), None);
    }

    #[test]
    fn an_agent_that_is_told_to_stop_saves_what_it_has_changed_and_nothing_else() {
        let futile = Futile::default();
        assert!(futile.leaves(&ours(), &report(), true).is_some());
        for changed in [
            Report { added: 1, ..report() },
            Report { remade: 1, ..report() },
            Report { removed: [crate::decide::sample::identity()].into(), ..report() },
        ] {
            assert_eq!(futile.leaves(&ours(), &changed, true), None);
        }
    }

    #[test]
    fn a_pass_comes_to_its_save_if_the_daemon_answers_nobody_holds_it_and_somebody_waits_for_the_report() {
        assert!(is_reached(true, false, &report()));
        assert!(!is_reached(false, false, &report()));
        assert!(!is_reached(true, true, &report()));
        assert!(!is_reached(true, false, &Report { busy: Some("pid 7".into()), ..report() }));
    }
}
