//! R11: saveconfig.json, once per pass.

use super::Lio;
use super::apply::whole;
use crate::decide::plan::Plan;
use crate::decide::save::{self, Save};
use crate::model::{Actual, Inventory, Report, SaveOutcome, Step};
use crate::ports::LioPort;
use std::sync::atomic::Ordering;
use tracing::error;

impl<P: LioPort> Lio<P> {
    /// R11: once per pass, if anything of ours changed or the saved state is not the live one.
    pub(super) fn save(&mut self, plan: &Plan, before: &Actual, vanished: &Inventory, report: &mut Report) {
        let changed = report.added + report.remade + report.removed.len() > 0;
        let look_anew = changed || self.left.is_none() || !report.failed.is_empty();
        let live = if look_anew { self.port.observe() } else { Ok(before.clone()) };
        report.saved = match live {
            Err(error) => SaveOutcome::Failed(whole(&error)),
            Ok(live) => {
                let mut may_drop = plan.may_drop.clone();
                if live.tpg.is_some() {
                    may_drop.backstores.extend(vanished.backstores.iter().cloned());
                    may_drop.luns.extend(vanished.luns.iter().cloned());
                }
                let outcome = self.save_live(&live, &may_drop, changed);
                report.after.get_or_insert(live);
                outcome
            }
        };
    }

    fn save_live(&mut self, live: &Actual, may_drop: &Inventory, changed: bool) -> SaveOutcome {
        let decision = save::save(live, may_drop, &self.site);
        let inventory = live.inventory();
        let before = (inventory.clone(), live.saved.clone());
        match decision {
            Save::Equal => {
                self.left = Some(inventory);
                return SaveOutcome::Equal;
            }
            Save::Refused(why) => {
                self.left = Some(inventory);
                return SaveOutcome::Refused(why);
            }
            _ if *self.stop.borrow() && !changed => return SaveOutcome::Failed("told to stop".into()),
            // Each save makes a backup, and 10 are kept: once more would only cost the oldest of them.
            _ if self.unsavable.as_ref() == Some(&before) => {
                return SaveOutcome::Failed("it did not help before, and nothing has changed since".into());
            }
            Save::SetAside => match self.port.apply(&Step::SetAside) {
                Ok(name) => error!(
                    event = "save_set_aside",
                    name, "saveconfig.json was torn; it is kept under this name, and a new one is written"
                ),
                Err(error) => {
                    return SaveOutcome::Failed(format!(
                        "it is torn and cannot be set aside: {}",
                        whole(&error)
                    ));
                }
            },
            Save::Due => {}
        }
        let outcome = self.write_save();
        self.unsavable = matches!(outcome, SaveOutcome::Failed(_)).then_some(before);
        outcome
    }

    fn write_save(&mut self) -> SaveOutcome {
        let mut answers = Vec::new();
        for step in [Step::SaveConfig, Step::SaveConfigAlone] {
            self.progress.fetch_add(1, Ordering::Relaxed);
            match self.port.apply(&step).and_then(|answer| Ok((answer, self.port.observe()?))) {
                Ok((_, after)) if after.is_saved() => {
                    self.left = Some(after.inventory());
                    return SaveOutcome::Written;
                }
                Ok((answer, _)) => answers.push(answer),
                Err(error) => return SaveOutcome::Failed(whole(&error)),
            }
        }
        SaveOutcome::Failed(format!(
            "saveconfig.json does not say what configfs shows; targetclid answered {answers:?}"
        ))
    }
}
