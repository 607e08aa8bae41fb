//! R13: what goes on although somebody has plain targetcli's lock.

use super::Lio;
use super::step::{StepError, perform};
use crate::decide::lock::{Lock, Way, Wish, without_lock};
use crate::decide::plan::change::Change;
use crate::model::{Engine, Request, Step};
use crate::ports::{LioError, LioPort};

impl<P: LioPort> Lio<P> {
    /// One step with the lock. If that was waited for in vain, and the change cannot wait, without it: the daemon reads its
    /// tree anew first, once for each change.
    pub(super) fn perform(
        &mut self,
        step: &Step,
        change: &Change,
        refreshed: &mut bool,
    ) -> Result<(), StepError> {
        self.note_progress();
        let engine = self.at_hand;
        let held = match perform(&mut self.port, step, change, Way { engine, lock: Lock::Taken }) {
            Err(StepError::Lio(held @ LioError::Locked { .. })) => held,
            ended => {
                // Whatever has become of it, the daemon may not know.
                self.untold |= engine == Engine::Configfs;
                return ended;
            }
        };
        let lock = self.without_lock(Wish::Change(&change.action), held)?;
        self.may_go_on()?;
        if engine == Engine::Targetclid && !*refreshed {
            self.port.apply(&Request::Refresh)?;
            *refreshed = true;
            self.may_go_on()?;
        }
        self.note_progress();
        self.untold |= engine == Engine::Configfs;
        perform(&mut self.port, step, change, Way { engine, lock })
    }

    /// The save with the lock, or without it.
    pub(super) fn ask_for_save(&mut self, backup: bool) -> Result<String, LioError> {
        self.note_progress();
        let save = Request::Save { backup };
        match self.port.apply(&save) {
            Err(held @ LioError::Locked { .. }) => {
                let lock = self.without_lock(Wish::Save, held)?;
                self.port.apply(&lock.request(save))
            }
            answered => answered,
        }
    }

    /// Notes who has the lock. The error again, if the wish waits for it.
    fn without_lock(&mut self, wish: Wish<'_>, held: LioError) -> Result<Lock, LioError> {
        self.note_holder(&held);
        without_lock(wish).ok_or(held)
    }

    /// Whoever had the lock in the last pass is still told as long as he has it, whether it is needed or not.
    pub(super) fn look_at_lock(&mut self) {
        if let Err(error) = self.port.apply(&Request::Probe) {
            self.note_holder(&error);
        }
    }

    fn note_holder(&mut self, error: &LioError) {
        if let LioError::Locked { path, holder, .. } = error {
            self.locked = Some(format!("{holder}, which holds {path}"));
        }
    }
}
