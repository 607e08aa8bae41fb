//! The last looks, for a pass may take minutes. R8: targetclid opens by path, so a file is looked at once more before
//! anybody can read from it. R4: a LUN is not taken away from a node that has just begun to use it.

use super::Lio;
use super::step::{StepError, perform};
use crate::decide::effect::undoes;
use crate::decide::last_look::{self, How, NotTheSame};
use crate::decide::lock::{Lock, Way};
use crate::decide::plan::change::Change;
use crate::events::emit;
use crate::model::{Step, with_causes};
use crate::mount::again::LookAgain;
use crate::ports::LioPort;
use std::sync::mpsc;
use std::time::Duration;

/// For one look; the mount has a shorter deadline of its own.
const LOOK_WITHIN: Duration = Duration::from_secs(120);

impl<P: LioPort> Lio<P> {
    /// Before the first step of a change.
    pub(super) fn look_before(&mut self, change: &Change) -> Result<(), StepError> {
        if let Some(unused) = change.unused
            && !unused.holds(&change.identity, &self.port.observe()?)
        {
            return Err(StepError::InUse);
        }
        last_look::before(change).map_or(Ok(()), |how| self.look_again(change, how)).map_err(StepError::File)
    }

    /// Before a step of a change that has `made` its backstore, or not.
    pub(super) fn look_before_step(
        &mut self,
        step: &Step,
        change: &Change,
        made: bool,
    ) -> Result<(), StepError> {
        let Some(how) = last_look::before_step(step) else { return Ok(()) };
        let look = self.look_again(change, how);
        if let Some(delete) = undoes(change, made, &look) {
            self.undo_create(&delete, change);
        }
        Ok(look?)
    }

    fn look_again(&mut self, change: &Change, how: How) -> Result<(), NotTheSame> {
        let Some(size) = last_look::size(change) else { return Ok(()) };
        let Some(key) = self.site.key_of(&change.file) else {
            return Err(NotTheSame::Changed(format!("{} is not under the mount", change.file)));
        };
        let (answer, answered) = mpsc::channel();
        self.files.do_send(LookAgain { key, size, how, answer });
        let silent = |_| Err(NotTheSame::Unknown("it did not answer".into()));
        answered.recv_timeout(LOOK_WITHIN).unwrap_or_else(silent)
    }

    /// By the rules of every removal: somebody else may have given it a LUN meanwhile (R1).
    fn undo_create(&mut self, delete: &Step, change: &Change) {
        let way = Way { engine: self.at_hand, lock: Lock::Taken };
        if let Err(error) = perform(&mut self.port, delete, change, way) {
            emit!(BACKSTORE_LEFT, backstore = change.identity.name().as_str(), detail = with_causes(&error));
        }
    }
}
