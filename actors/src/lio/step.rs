//! One step, judged by configfs: what targetclid answers proves nothing.

use crate::decide::plan::change::{Action, Change};
use crate::model::{Backstore, LunEntry, Step, TpgPath, Word};
use crate::mount::again::NotTheSame;
use crate::ports::{LioError, LioPort, PortError};

/// Why a change did not come about.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// LIO could not be read or told.
    #[error(transparent)]
    Lio(#[from] LioError),
    /// The command was answered, and configfs does not show its effect.
    #[error("configfs does not show the effect of {step:?}; targetclid answered {answer:?}")]
    NotShown {
        /// What was tried.
        step: String,
        /// What targetclid said.
        answer: String,
    },
    /// What would be removed is not what was planned to be removed (R1).
    #[error("{step:?} was not tried: what configfs shows there is not ours")]
    NotOurs {
        /// What was planned.
        step: String,
    },
    /// A backstore that should go has a LUN that was not there when it was planned (R1).
    #[error("{step:?} was not tried: a LUN of {tpg} leads to it, and targetcli would remove that as well")]
    StillUsed {
        /// What was planned.
        step: String,
        /// Where the LUN is.
        tpg: TpgPath,
    },
    /// The file may not be what it was when it was planned to be projected.
    #[error(transparent)]
    File(#[from] NotTheSame),
    /// The agent was told to stop before this step, or the pass was given up.
    #[error("the agent is stopping, or the pass was abandoned")]
    Stopped,
}

impl StepError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            StepError::Lio(error) => error.kind(),
            StepError::NotShown { .. } => "not_shown",
            StepError::NotOurs { .. } => "not_ours",
            StepError::StillUsed { .. } => "still_used",
            StepError::File(why) => why.kind(),
            StepError::Stopped => "stopped",
        }
    }
}

/// Does one step, unless configfs shows its effect already; afterwards configfs must show it.
pub fn perform(port: &mut impl LioPort, step: &Step, change: &Change) -> Result<(), StepError> {
    if shows(port, step, change)? {
        return Ok(());
    }
    if let Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } = step {
        unused(port, step, name)?;
    }
    let answer = port.apply(&step.clone().into())?;
    match shows(port, step, change) {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        // It was not there before: whatever came into being under our name is not what nodes should see.
        Err(StepError::NotOurs { .. }) => discard(port, step)?,
        Err(error) => return Err(error),
    }
    Err(StepError::NotShown { step: step.to_string(), answer })
}

/// R1: no LUN leads to this backstore, of whichever target.
fn unused(port: &mut impl LioPort, step: &Step, name: &Word) -> Result<(), StepError> {
    match port.observe()?.luns_of_fileio(name.as_str()).next() {
        None => Ok(()),
        Some(lun) => Err(StepError::StillUsed { step: step.to_string(), tpg: lun.tpg.clone() }),
    }
}

/// Removes a backstore that came out wrong, as long as it can only be the one just made, a path that was cut, and nobody
/// else has mapped a LUN to it since (R1).
fn discard(port: &mut impl LioPort, step: &Step) -> Result<(), StepError> {
    if let Step::CreateBackstore { name, file, wwn } = step
        && port.backstore(name)?.is_some_and(|live| file.as_str().starts_with(&live.file))
    {
        unused(port, step, name)?;
        port.apply(&Step::DeleteBackstore { name: name.clone(), wwn: wwn.clone() }.into())?;
    }
    Ok(())
}

/// What configfs shows in the place of what a step makes or takes away.
enum Found {
    /// Nothing.
    Absent,
    /// What the plan expects there.
    AsPlanned,
    /// Something else, which is not touched (R1).
    Other,
}

impl Found {
    fn of<T>(live: Option<T>, is_planned: impl FnOnce(&T) -> bool) -> Self {
        match live {
            None => Found::Absent,
            Some(live) if is_planned(&live) => Found::AsPlanned,
            Some(_) => Found::Other,
        }
    }
}

/// Whether configfs shows the effect of a step; an error if it shows something else in its place (R1).
fn shows(port: &mut impl LioPort, step: &Step, change: &Change) -> Result<bool, StepError> {
    let is_there = |found: Found| match found {
        Found::Absent => Ok(false),
        Found::AsPlanned => Ok(true),
        Found::Other => Err(StepError::NotOurs { step: step.to_string() }),
    };
    let leads_to = |live: &LunEntry, name: &Word| live.leads_to(name.as_str());
    match step {
        Step::DiscardLun { lun } => Ok(!port.observe()?.is_bare(*lun)),
        Step::DiscardBackstore { name, file } => {
            let cut_short = |live: &Backstore| {
                !live.enabled
                    && live.serial.is_empty()
                    && (live.file == file.as_str() || live.file.is_empty())
            };
            is_there(Found::of(port.backstore(name)?, cut_short)).map(|there| !there)
        }
        Step::CreateBackstore { name, file, wwn } => {
            is_there(Found::of(port.backstore(name)?, |live| is_whole(live, file, wwn, &change.action)))
        }
        Step::EnableModelAlias { name } => Ok(port.backstore(name)?.is_some_and(|live| live.model_alias)),
        Step::CreateLun { lun, name, .. } => {
            is_there(Found::of(port.lun(*lun)?, |live| leads_to(live, name)))
        }
        Step::DeleteLun { lun, name } => {
            is_there(Found::of(port.lun(*lun)?, |live| leads_to(live, name))).map(|there| !there)
        }
        Step::DeleteBackstore { name, wwn } => {
            let planned = |live: &Backstore| live.serial == wwn.as_str() && live.file == change.file;
            is_there(Found::of(port.backstore(name)?, planned)).map(|there| !there)
        }
    }
}

/// R7, as the kernel sees it: the file, the serial and the whole size.
fn is_whole(live: &Backstore, file: &Word, wwn: &Word, action: &Action) -> bool {
    let whole_size = !matches!(action, Action::Project(size) | Action::Remake(size) if *size != live.size);
    live.file == file.as_str() && live.serial == wwn.as_str() && whole_size
}
