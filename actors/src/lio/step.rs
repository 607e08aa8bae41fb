//! One step, judged by configfs: what targetclid answers, or what was written, proves nothing.

use crate::decide::effect::{Effect, Shown, discards, effect, still_used, takes_away};
use crate::decide::last_look::NotTheSame;
use crate::decide::lock::Way;
use crate::decide::plan::change::Change;
use crate::model::{Step, TpgPath};
use crate::ports::{LioError, LioPort, PortError};

/// Why a change did not come about.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// LIO could not be read or told.
    #[error(transparent)]
    Lio(#[from] LioError),
    /// The command was answered, and configfs does not show its effect.
    #[error("configfs does not show the effect of {step:?}; the answer was {answer:?}")]
    NotShown {
        /// What was tried.
        step: String,
        /// What targetclid said, or where it was written.
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
    /// A node has used the LUN (R4).
    #[error("the LUN has been used since its removal was planned")]
    InUse,
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
            StepError::InUse => "in_use",
            StepError::Stopped => "stopped",
        }
    }
}

/// Does one step, unless configfs shows its effect already; afterwards configfs must show it.
pub fn perform(port: &mut impl LioPort, step: &Step, change: &Change, way: Way) -> Result<(), StepError> {
    let not_ours = || StepError::NotOurs { step: step.to_string() };
    match effect(step, change, &look(port, step)?) {
        Effect::Done => return Ok(()),
        Effect::NotOurs => return Err(not_ours()),
        Effect::Outstanding => {}
    }
    unused(port, step)?;
    let answered = match port.apply(&way.request(step.clone())) {
        // Perhaps it came about all the same.
        Err(error @ LioError::Write { .. }) => Err(error),
        answered => Ok(answered?),
    };
    let shown = look(port, step)?;
    match (effect(step, change, &shown), &answered) {
        (Effect::Done, _) => return Ok(()),
        // It was not there before: whatever came into being under our name is not what nodes should see.
        (Effect::NotOurs, Ok(_)) => {
            if let Some(delete) = discards(step, &shown) {
                unused(port, &delete)?;
                port.apply(&way.request(delete))?;
            }
        }
        _ => {}
    }
    Err(StepError::NotShown { step: step.to_string(), answer: answered? })
}

fn look(port: &mut impl LioPort, step: &Step) -> Result<Shown, LioError> {
    Ok(match step {
        Step::DiscardLun { lun } => Shown::Bare(port.observe()?.is_bare(*lun)),
        Step::CreateLun { lun, .. } | Step::DeleteLun { lun, .. } => Shown::Lun(port.lun(*lun)?),
        Step::CreateBackstore { name, .. }
        | Step::EnableModelAlias { name }
        | Step::DeleteBackstore { name, .. }
        | Step::DiscardBackstore { name, .. } => Shown::Backstore(port.backstore(name)?),
    })
}

/// R1: no LUN leads to the backstore that this step would take away.
fn unused(port: &mut impl LioPort, step: &Step) -> Result<(), StepError> {
    let Some(name) = takes_away(step) else { return Ok(()) };
    match still_used(name, &port.observe()?) {
        None => Ok(()),
        Some(tpg) => Err(StepError::StillUsed { step: step.to_string(), tpg }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_kind_of_its_own() {
        let step = || "delete LUN 7".to_owned();
        let file = NotTheSame::Changed(String::new());
        let kinds = [
            StepError::NotShown { step: step(), answer: String::new() },
            StepError::NotOurs { step: step() },
            StepError::StillUsed { step: step(), tpg: TpgPath::new("iscsi/iqn.x/tpgt_1") },
            StepError::File(file),
            StepError::InUse,
            StepError::Stopped,
        ]
        .map(|error| error.kind());
        assert_eq!(kinds, ["not_shown", "not_ours", "still_used", "file_changed", "in_use", "stopped"]);
    }
}
