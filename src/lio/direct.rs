//! A change that is written into configfs. targetclid has no part in it, so nobody waits for a turn at it.

use super::LioAdapter;
use crate::targetclid::Held;
use actors::model::Step;
use actors::ports::LioError;

impl LioAdapter {
    pub(super) fn direct(&mut self, step: &Step, with_lock: bool) -> Result<String, LioError> {
        // An operator who has the session works on LIO himself.
        self.session.check_released()?;
        let held = if with_lock { Some(self.wait_for_lock(step)?) } else { None };
        self.session.check_released()?;
        let Some(files) = self.files.clone() else {
            let problem = "this program only reads".to_owned();
            return Err(LioError::File { file: step.to_string(), problem });
        };
        self.remember_mappings(step)?;
        let mut written = self.configfs.carry_out(step, &self.tpg_path, &files)?;
        if let Step::CreateLun { lun, name, map_to_acls: true } = step {
            let before = self.mapped.remove(&(*lun, name.clone())).unwrap_or_default();
            for mapping in self.configfs.unmapped(&self.tpg_path, *lun, &before)? {
                self.configfs.map_lun(&self.tpg_path, *lun, &mapping)?;
                written += &format!(", {}", mapping.initiator);
            }
        }
        drop(held);
        // targetclid does not know of it.
        self.hbas = None;
        tracing::debug!(step = step.to_string(), written, "configfs was written");
        Ok(written)
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
