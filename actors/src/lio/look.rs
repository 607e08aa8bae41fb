//! R8: targetclid opens by path, up to minutes after the file was looked at. So it is looked at once more before
//! anybody can read from it.

use super::Lio;
use super::step::{StepError, perform};
use crate::decide::plan::change::{Action, Change};
use crate::events::emit;
use crate::model::{Step, with_causes};
use crate::mount::again::{How, LookAgain, NotTheSame};
use crate::ports::LioPort;
use std::sync::mpsc;
use std::time::Duration;

/// For one look; the mount has a shorter deadline of its own.
const LOOK_WITHIN: Duration = Duration::from_secs(120);

impl<P: LioPort> Lio<P> {
    /// Before a LUN is taken down to be made anew. LIO has the file open, but on the mount that is gone: that was
    /// another s3fs, so the new one may open and read it without any harm (facts 4.4). And it has to: what
    /// cannot be read whole there would not come back.
    pub(super) fn look_before_remake(&mut self, change: &Change) -> Result<(), StepError> {
        match change.action {
            Action::Remake(_) => self.look_again(change, How::Open),
            _ => Ok(()),
        }
    }

    /// Before a LUN is created. Its backstore is there, so LIO has the file open on this very mount: no look may open
    /// it beside LIO. If it is not the same any more, a backstore that this change has `made` goes again; not if the
    /// mount is silent, for that would close a file on a mount that hangs, and the next pass goes on from there.
    pub(super) fn look_before_lun(
        &mut self,
        step: &Step,
        change: &Change,
        made: bool,
    ) -> Result<(), StepError> {
        let Step::CreateLun { .. } = step else { return Ok(()) };
        let look = self.look_again(change, How::WithoutOpening);
        if made && matches!(look, Err(StepError::File(NotTheSame::Changed(_)))) {
            self.undo_create(change);
        }
        look
    }

    fn look_again(&mut self, change: &Change, how: How) -> Result<(), StepError> {
        let (Action::Project(size) | Action::Remake(size)) = change.action else { return Ok(()) };
        let Some(key) = self.site.key_of(&change.file) else { return Ok(()) };
        let (answer, answered) = mpsc::channel();
        self.files.do_send(LookAgain { key, size, how, answer });
        match answered.recv_timeout(LOOK_WITHIN) {
            Ok(look) => Ok(look?),
            Err(_) => Err(NotTheSame::Unknown("it did not answer".into()).into()),
        }
    }

    /// By the rules of every removal: somebody else may have given it a LUN meanwhile (R1).
    fn undo_create(&mut self, change: &Change) {
        let (name, wwn) = (change.identity.name(), change.identity.wwn().clone());
        if let Err(error) = perform(&mut self.port, &Step::DeleteBackstore { name, wwn }, change) {
            emit!(BACKSTORE_LEFT, backstore = change.identity.name().as_str(), detail = with_causes(&error));
        }
    }
}
