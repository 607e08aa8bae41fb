//! A change that is written into configfs. targetclid has no part in it, so nobody waits for a turn at it.

use super::{LioAdapter, Writing};
use crate::configfs::{Change, Journal};
use crate::targetclid::Held;
use actors::events::emit;
use actors::model::{Step, with_causes};
use actors::ports::LioError;
use std::path::Path;

/// As the lock's holder is told.
const SETTLE: &str = "settle what was cut short";

impl LioAdapter {
    pub(super) fn direct(&mut self, step: &Step, with_lock: bool) -> Result<String, LioError> {
        // An operator who has the session works on LIO himself.
        self.session.check_released()?;
        let refused = |file: String, problem: String| LioError::File { file, problem };
        let Some(Writing { files, journal }) = self.writing.clone() else {
            return Err(refused(step.to_string(), "this program only reads".to_owned()));
        };
        // Before anybody waits for the lock: a mount that hangs is waited for.
        let file = match step {
            Step::CreateBackstore { file, .. } => {
                let opened = files.open(Path::new(file.as_str()));
                Some(opened.map_err(|error| refused(file.to_string(), with_causes(&error)))?)
            }
            _ => None,
        };
        // What another has left is never settled without it.
        let held = if with_lock || !journal.is_empty() { Some(self.wait_for_lock(step)?) } else { None };
        self.session.check_released()?;
        self.settle_and_tell(&journal)?;
        self.remember_mappings(step)?;
        let before = match step {
            Step::CreateLun { lun, name, .. } => {
                self.mapped.get(&(*lun, name.clone())).cloned().unwrap_or_default()
            }
            _ => Default::default(),
        };
        let (tpg, journal) = (&self.tpg_path, &journal);
        let written = self.configfs.carry_out(&Change { step, tpg, file, before: &before, journal })?;
        drop(held);
        if let Step::CreateLun { lun, name, .. } = step {
            self.mapped.remove(&(*lun, name.clone()));
        }
        // targetclid does not know of it.
        self.hbas = None;
        tracing::debug!(step = step.to_string(), written, "configfs was written");
        Ok(written)
    }

    /// The same, with what was cut short settled.
    pub fn settled(mut self) -> Self {
        self.settle();
        self
    }

    /// What the agent was killed in the middle of, or could not take back. Not while an operator has the session, or somebody
    /// the lock: then this is tried again. What keeps it from being settled is told once.
    pub(super) fn settle(&mut self) {
        let left = match self.try_settle() {
            Ok(true) => {
                self.hbas = None;
                None
            }
            Ok(false) | Err(LioError::Busy { .. } | LioError::Locked { .. }) => None,
            Err(error) => Some(with_causes(&error)),
        };
        if let Some(detail) = left.as_ref().filter(|_| self.unsettled != left) {
            emit!(NOT_SETTLED, detail);
        }
        self.unsettled = left;
    }

    fn try_settle(&mut self) -> Result<bool, LioError> {
        let Some(Writing { journal, .. }) = &self.writing else { return Ok(false) };
        if journal.is_empty() {
            return Ok(false);
        }
        self.session.check_released()?;
        match self.lock.try_take() {
            Some(_held) => self.settle_and_tell(journal),
            None => self.lock.look(SETTLE).map(|()| false),
        }
    }

    /// Whether there was anything to settle.
    fn settle_and_tell(&self, journal: &Journal) -> Result<bool, LioError> {
        let settled = self.configfs.settle(journal)?;
        if let Some(what) = &settled {
            emit!(SETTLED, what);
        }
        Ok(settled.is_some())
    }

    /// Whoever has it may be about to change the same.
    fn wait_for_lock(&mut self, step: &Step) -> Result<Held, LioError> {
        let command = step.to_string();
        loop {
            if self.lock.is_given_up() {
                self.lock.look(&command)?;
            }
            match self.lock.try_take() {
                Some(held) => return Ok(held),
                None => self.lock.wait(&command)?,
            }
        }
    }
}
