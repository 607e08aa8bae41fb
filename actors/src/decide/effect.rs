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
            gone(live.as_ref(), |live| is_cut_short(live, file))
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

/// Half made: not enabled, no serial, and the file it was to have or none yet.
fn is_cut_short(live: &Backstore, file: &Word) -> bool {
    !live.enabled && live.serial.is_empty() && (live.file == file.as_str() || live.file.is_empty())
}

/// R1: before a backstore goes, the TPG that has a LUN on it, of whichever target; targetcli would remove that as well.
pub fn still_used(step: &Step, actual: &Actual) -> Option<TpgPath> {
    let (Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. }) = step else {
        return None;
    };
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
