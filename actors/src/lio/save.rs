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
        let changed = report.added + report.remade + report.removed.len() > 0;
        let look_anew = changed || self.left.is_none() || !report.failed.is_empty();
        let live = if look_anew { self.port.observe()? } else { before.clone() };
        let mut may_drop = plan.may_drop.clone();
        if live.tpg.is_some() {
            may_drop.extend(vanished);
        }
        let outcome = self.save_live(&live, &may_drop, changed);
        report.after.get_or_insert(live);
        outcome
    }

    fn save_live(
        &mut self,
        live: &Actual,
        may_drop: &Inventory,
        changed: bool,
    ) -> Result<SaveOutcome, LioError> {
        let decision = save::save(live, may_drop, &self.site);
        let inventory = live.inventory();
        let before = (inventory.clone(), live.saved.clone());
        match decision {
            Save::Equal => {
                self.left = Some(inventory);
                return Ok(SaveOutcome::Equal);
            }
            Save::Refused(why) => {
                self.left = Some(inventory);
                return Ok(SaveOutcome::Refused(why));
            }
            _ if *self.stop.borrow() && !changed => {
                return Ok(SaveOutcome::Failed("the agent is stopping".into()));
            }
            // Each save makes a backup, and 10 are kept: once more would only cost the oldest of them.
            _ if self.unsavable.as_ref() == Some(&before) => {
                return Ok(SaveOutcome::Failed(
                    "the last save had no effect, and nothing has changed since".into(),
                ));
            }
            Save::SetAside => match self.port.apply(&Request::SetAside) {
                Ok(file) => emit!(SAVE_SET_ASIDE, file),
                Err(error) => {
                    let why = format!("it is torn and cannot be set aside: {}", with_causes(&error));
                    return Ok(SaveOutcome::Failed(why));
                }
            },
            Save::Due => {}
        }
        let outcome = self.write_save()?;
        self.unsavable = matches!(outcome, SaveOutcome::Failed(_)).then_some(before);
        Ok(outcome)
    }

    /// Failed: the daemon has answered, and the file still says something else. An error: it has not answered.
    fn write_save(&mut self) -> Result<SaveOutcome, LioError> {
        let mut answers = Vec::new();
        for backup in [true, false] {
            self.note_progress();
            answers.push(self.port.apply(&Request::Save { backup })?);
            let after = self.port.observe()?;
            if after.is_saved() {
                self.left = Some(after.inventory());
                return Ok(SaveOutcome::Written);
            }
        }
        Ok(SaveOutcome::Failed(format!(
            "saveconfig.json does not match configfs; targetclid answered {answers:?}"
        )))
    }
}
