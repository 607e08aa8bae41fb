//! Whether configfs shows the effect of a step (what targetclid answers proves nothing), and what may be undone. Pure.

use crate::decide::last_look::NotTheSame;
use crate::decide::plan::change::{Action, Change};
use crate::model::{Actual, Backstore, LunEntry, Step, TpgPath, Word};

/// What configfs shows in the place of what a step makes or takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The fileio backstore of the step's name.
    Backstore(Option<Backstore>),
    /// The LUN of the step's number.
    Lun(Option<LunEntry>),
    /// Whether the LUN folder of the step's number leads to nothing.
    Bare(bool),
}

/// What that means for the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is there.
    Done,
    /// Not yet.
    Outstanding,
    /// Something else is in its place, which is not touched (R1).
    NotOurs,
}

/// What `shown` means for a step of this change.
pub fn effect(step: &Step, change: &Change, shown: &Shown) -> Effect {
    match (step, shown) {
        (Step::DiscardLun { .. }, Shown::Bare(is_bare)) => done_if(!is_bare),
        (Step::EnableModelAlias { .. }, Shown::Backstore(live)) => {
            done_if(live.as_ref().is_some_and(|live| live.model_alias))
        }
        (Step::CreateBackstore { file, wwn, .. }, Shown::Backstore(live)) => {
            made(live.as_ref(), |live| is_whole(live, file, wwn, &change.action))
        }
        (Step::CreateLun { name, .. }, Shown::Lun(live)) => {
            made(live.as_ref(), |live| live.leads_to(name.as_str()))
        }
        (Step::DeleteLun { name, .. }, Shown::Lun(live)) => {
            gone(live.as_ref(), |live| live.leads_to(name.as_str()))
        }
        (Step::DeleteBackstore { wwn, .. }, Shown::Backstore(live)) => {
            gone(live.as_ref(), |live| live.serial == wwn.as_str() && live.file == change.file)
        }
        (Step::DiscardBackstore { file, .. }, Shown::Backstore(live)) => {
            gone(live.as_ref(), |live| live.is_cut_short(file.as_str(), change.identity.wwn().as_str()))
        }
        // Somebody looked at the wrong place.
        _ => Effect::NotOurs,
    }
}

fn done_if(done: bool) -> Effect {
    if done { Effect::Done } else { Effect::Outstanding }
}

fn made<T>(live: Option<&T>, is_planned: impl FnOnce(&T) -> bool) -> Effect {
    match live {
        None => Effect::Outstanding,
        Some(live) if is_planned(live) => Effect::Done,
        Some(_) => Effect::NotOurs,
    }
}

fn gone<T>(live: Option<&T>, is_planned: impl FnOnce(&T) -> bool) -> Effect {
    match live {
        None => Effect::Done,
        Some(live) if is_planned(live) => Effect::Outstanding,
        Some(_) => Effect::NotOurs,
    }
}

/// R7, as the kernel sees it: the file, the serial and the whole size.
fn is_whole(live: &Backstore, file: &Word, wwn: &Word, action: &Action) -> bool {
    let whole_size = !matches!(action, Action::Project(size) | Action::Remake(size) if *size != live.size);
    live.file == file.as_str() && live.serial == wwn.as_str() && whole_size
}

/// The backstore that a step takes away: no LUN may lead to it, of whichever target, for targetcli would remove that as
/// well (R1).
pub fn takes_away(step: &Step) -> Option<&Word> {
    match step {
        Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } => Some(name),
        Step::DeleteLun { .. }
        | Step::CreateBackstore { .. }
        | Step::EnableModelAlias { .. }
        | Step::CreateLun { .. }
        | Step::DiscardLun { .. } => None,
    }
}

/// The TPG that has a LUN on this backstore (R1).
pub fn still_used(name: &Word, actual: &Actual) -> Option<TpgPath> {
    actual.luns_of_fileio(name.as_str()).next().map(|lun| lun.tpg.clone())
}

/// What takes back a create after which configfs shows something else under its name: only what can be no other than the
/// one just made, on a path that was cut.
pub fn discards(step: &Step, shown: &Shown) -> Option<Step> {
    match (step, shown) {
        (Step::CreateBackstore { name, file, wwn }, Shown::Backstore(Some(live)))
            if file.as_str().starts_with(&live.file) =>
        {
            Some(Step::DeleteBackstore { name: name.clone(), wwn: wwn.clone() })
        }
        _ => None,
    }
}

/// What takes back the backstore that a change has `made`, if its file is not the same any more. Not if the mount is
/// silent: that would close a file on a mount that hangs, and the next pass goes on from there.
pub fn undoes(change: &Change, made: bool, look: &Result<(), NotTheSame>) -> Option<Step> {
    let is_other = made && matches!(look, Err(NotTheSame::Changed(_)));
    is_other
        .then(|| Step::DeleteBackstore { name: change.identity.name(), wwn: change.identity.wwn().clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{
        FILE, actual, addition, backstore, change, create_backstore, delete_backstore, file, identity, lun,
        removal, tpg,
    };

    fn of_backstore(step: &Step, change: &Change, live: Backstore) -> Effect {
        effect(step, change, &Shown::Backstore(Some(live)))
    }

    #[test]
    fn r7_a_backstore_is_made_when_its_file_serial_and_whole_size_are_those_of_the_plan() {
        let made = |live| of_backstore(&create_backstore(), &addition(), live);
        assert_eq!(made(backstore()), Effect::Done);
        assert_eq!(effect(&create_backstore(), &addition(), &Shown::Backstore(None)), Effect::Outstanding);
        for other in [
            Backstore { file: "/m/PE/b".into(), ..backstore() },
            Backstore { serial: "0".into(), ..backstore() },
            Backstore { size: 512, ..backstore() },
        ] {
            assert_eq!(made(other), Effect::NotOurs);
        }
        let remade = change(Action::Remake(512));
        assert_eq!(of_backstore(&create_backstore(), &remade, backstore()), Effect::NotOurs);
    }

    #[test]
    fn r1_only_the_backstore_of_the_planned_serial_and_file_is_deleted() {
        let goes = |live| of_backstore(&delete_backstore(), &removal(), live);
        assert_eq!(goes(backstore()), Effect::Outstanding);
        assert_eq!(goes(Backstore { serial: "0".into(), ..backstore() }), Effect::NotOurs);
        assert_eq!(goes(Backstore { file: "/m/PE/b".into(), ..backstore() }), Effect::NotOurs);
        assert_eq!(effect(&delete_backstore(), &removal(), &Shown::Backstore(None)), Effect::Done);
    }

    #[test]
    fn r1_m10_only_a_backstore_that_was_cut_short_is_discarded() {
        let cut_short = Backstore { enabled: false, serial: String::new(), ..backstore() };
        let step = Step::DiscardBackstore { name: identity().name(), file: file() };
        let goes = |live| of_backstore(&step, &removal(), live);
        assert_eq!(goes(cut_short.clone()), Effect::Outstanding);
        assert_eq!(goes(Backstore { file: String::new(), ..cut_short.clone() }), Effect::Outstanding);
        for other in [
            Backstore { enabled: true, ..cut_short.clone() },
            Backstore { serial: "0".into(), ..cut_short.clone() },
            Backstore { file: "/srv/a".into(), ..cut_short },
        ] {
            assert_eq!(goes(other.clone()), Effect::NotOurs, "{other:?}");
        }
    }

    #[test]
    fn r1_a_lun_is_ours_to_delete_as_long_as_it_leads_to_our_backstore() {
        let name = identity().name();
        let create = Step::CreateLun { lun: 7, name: name.clone(), map_to_acls: false };
        let delete = Step::DeleteLun { lun: 7, name };
        let other = Shown::Lun(Some(LunEntry { name: "scratch".into(), ..lun(7) }));
        let ours = Shown::Lun(Some(lun(7)));
        let effects =
            |shown: &Shown| (effect(&create, &addition(), shown), effect(&delete, &removal(), shown));
        assert_eq!(effects(&ours), (Effect::Done, Effect::Outstanding));
        assert_eq!(effects(&Shown::Lun(None)), (Effect::Outstanding, Effect::Done));
        assert_eq!(effects(&other), (Effect::NotOurs, Effect::NotOurs));
    }

    #[test]
    fn an_alias_and_a_bare_folder_are_what_configfs_shows_of_them() {
        let alias = Step::EnableModelAlias { name: identity().name() };
        assert_eq!(of_backstore(&alias, &addition(), backstore()), Effect::Done);
        let without = Backstore { model_alias: false, ..backstore() };
        assert_eq!(of_backstore(&alias, &addition(), without), Effect::Outstanding);
        let discard = Step::DiscardLun { lun: 7 };
        assert_eq!(effect(&discard, &removal(), &Shown::Bare(true)), Effect::Outstanding);
        assert_eq!(effect(&discard, &removal(), &Shown::Bare(false)), Effect::Done);
    }

    #[test]
    fn r1_a_backstore_with_a_lun_of_any_target_does_not_go() {
        let used = actual(vec![backstore()], vec![lun(7)]);
        let name = identity().name();
        assert_eq!(still_used(&name, &used), Some(tpg()));
        assert_eq!(still_used(&name, &actual(vec![backstore()], Vec::new())), None);
        assert_eq!((takes_away(&delete_backstore()), takes_away(&create_backstore())), (Some(&name), None));
    }

    #[test]
    fn r1_only_what_can_be_the_one_just_made_on_a_path_that_was_cut_is_taken_back() {
        let discards = |live: Backstore| discards(&create_backstore(), &Shown::Backstore(Some(live)));
        assert_eq!(discards(Backstore { file: FILE[..4].into(), ..backstore() }), Some(delete_backstore()));
        assert_eq!(discards(Backstore { file: "/srv/a".into(), ..backstore() }), None);
        assert_eq!(super::discards(&create_backstore(), &Shown::Backstore(None)), None);
        assert_eq!(super::discards(&delete_backstore(), &Shown::Backstore(Some(backstore()))), None);
    }

    #[test]
    fn r8_a_backstore_that_was_just_made_goes_again_if_its_file_has_changed_and_stays_if_the_mount_is_silent()
    {
        let undoes = |made, look| undoes(&addition(), made, &look);
        assert_eq!(undoes(true, Err(NotTheSame::Changed(String::new()))), Some(delete_backstore()));
        assert_eq!(undoes(false, Err(NotTheSame::Changed(String::new()))), None, "it was there before");
        assert_eq!(undoes(true, Err(NotTheSame::Unknown(String::new()))), None);
        assert_eq!(undoes(true, Ok(())), None);
    }
}
