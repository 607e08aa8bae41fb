//! R11: saveconfig.json, once per pass.

use super::Lio;
use crate::decide::plan::Plan;
use crate::decide::save::{self, Save};
use crate::events::emit;
use crate::model::{Actual, Inventory, Report, Request, SaveOutcome, with_causes};
use crate::ports::{LioError, LioPort};

impl<P: LioPort> Lio<P> {
    /// R11: once per pass, if anything of ours changed or the saved state is not the live one.
    pub(super) fn save(&mut self, plan: &Plan, before: &Actual, vanished: &Inventory, report: &mut Report) {
        report.saved = match self.try_save(plan, before, vanished, report) {
            Ok(outcome) => outcome,
            // Nobody knows whether it would have helped: the next pass tries it again.
            Err(error) => {
                let why = with_causes(&error);
                if let LioError::Busy { holder, .. } = error {
                    report.busy = Some(holder);
                }
                SaveOutcome::Failed(why)
            }
        };
    }

    fn try_save(
        &mut self,
        plan: &Plan,
        before: &Actual,
        vanished: &Inventory,
        report: &mut Report,
    ) -> Result<SaveOutcome, LioError> {
        let live = if self.agreed.needs_look(report) { self.port.observe()? } else { before.clone() };
        let outcome = self.save_live(&live, &save::may_drop(plan, vanished, &live), report);
        report.after.get_or_insert(live);
        outcome
    }

    fn save_live(
        &mut self,
        live: &Actual,
        may_drop: &Inventory,
        report: &Report,
    ) -> Result<SaveOutcome, LioError> {
        match save::save(live, may_drop, &self.site) {
            Save::Equal => {
                self.agreed.on(live.inventory());
                return Ok(SaveOutcome::Equal);
            }
            Save::Refused(why) => {
                self.agreed.on(live.inventory());
                return Ok(SaveOutcome::Refused(why));
            }
            due @ (Save::Due | Save::SetAside) => {
                let is_stopping = *self.stop.borrow();
                if let Some(why) = self.futile.leaves(live, report, is_stopping) {
                    return Ok(SaveOutcome::Failed(why.into()));
                }
                if due == Save::SetAside
                    && let Err(error) = self.set_aside()
                {
                    let why = format!("it is torn and cannot be set aside: {}", with_causes(&error));
                    return Ok(SaveOutcome::Failed(why));
                }
            }
        }
        let outcome = self.write_save()?;
        self.futile.note(live, &outcome);
        Ok(outcome)
    }

    fn set_aside(&mut self) -> Result<(), LioError> {
        let file = self.port.apply(&Request::SetAside)?;
        emit!(SAVE_SET_ASIDE, file);
        Ok(())
    }

    /// Failed: the daemon has answered, and the file still says something else. An error: it has not answered.
    fn write_save(&mut self) -> Result<SaveOutcome, LioError> {
        let mut answers = Vec::new();
        for backup in [true, false] {
            answers.push(self.ask_for_save(backup)?);
            let after = self.port.observe()?;
            if after.is_saved() {
                self.agreed.on(after.inventory());
                return Ok(SaveOutcome::Written);
            }
        }
        Ok(SaveOutcome::Failed(format!(
            "saveconfig.json does not match configfs; targetclid answered {answers:?}"
        )))
    }
}
