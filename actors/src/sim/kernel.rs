//! The simulated LIO: targetclid and the kernel behind it.

use super::{Sim, SimSite, TPG, site, tpg};
use crate::model::{Actual, Backstore, BareLun, FILEIO, LunEntry, ObjectKey, Saved, Step, Word};
use crate::ports::{LioError, LioPort};
use crate::sim::MOUNT;

/// What nobody but the daemon and the kernel knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// Inodes given so far.
    inodes: u64,
    /// Another process has made a backstore: the index of the HBA that the daemon would take next is taken.
    hba_taken: bool,
    /// Commands that came too late, and are carried out before the next one.
    late: Vec<Step>,
}

impl LioPort for Sim {
    fn observe(&mut self) -> Result<Actual, LioError> {
        let site = self.site();
        match site.faults.configfs {
            true => Err(LioError::Configfs { path: "sim".into(), source: std::io::ErrorKind::Other.into() }),
            false => Ok(site.actual.clone()),
        }
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        Ok(self.site().actual.backstores.iter().find(|live| is_fileio(live, name)).cloned())
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        Ok(self.site().actual.luns.iter().find(|lun| lun.tpg == tpg() && lun.lun == number).cloned())
    }

    fn apply(&mut self, step: &Step) -> Result<String, LioError> {
        let mut site = self.site();
        let command = step.to_string();
        if site.faults.busy {
            return Err(LioError::Busy { command, holder: "pid 4711 (targetcli)".into(), seconds: 10 });
        }
        if site.faults.targetclid {
            return Err(LioError::Timeout { command, seconds: 1 });
        }
        for late in std::mem::take(&mut site.kernel.late) {
            site.obey(&late);
        }
        if let Step::CreateBackstore { name, .. } = step
            && site.faults.hang_ups.contains(name.as_str())
        {
            return Err(LioError::Session { command, problem: "the daemon hung up".into() });
        }
        site.told.push(step.clone());
        if site.faults.late > 0 {
            site.faults.late -= 1;
            site.kernel.late.push(step.clone());
            return Err(LioError::Timeout { command, seconds: 1 });
        }
        Ok(site.obey(step))
    }

    fn end_session(&mut self) {}
}

impl Sim {
    /// Another process changes LIO: plain targetcli, say. Whatever it makes, targetclid does not know of.
    pub fn another_hand(&self, change: impl FnOnce(&mut Actual)) {
        let mut site = self.site();
        let before = site.actual.backstores.len();
        change(&mut site.actual);
        site.kernel.hba_taken |= site.actual.backstores.len() > before;
    }

    /// s3fs dies and is mounted again: what LIO has open belongs to the mount that is gone.
    pub fn remount(&self) {
        self.site().device += 1;
    }

    /// The backstores whose reads fail.
    pub fn dead(&self) -> Vec<String> {
        let site = self.site();
        let ours = site.actual.backstores.iter().filter(|b| b.file.starts_with(MOUNT));
        let dead = ours.filter(|b| site.opened.get(&b.name).is_some_and(|device| *device != site.device));
        dead.map(|b| b.name.clone()).collect()
    }

    /// The node boots: LIO is empty until something is restored, and nothing is.
    pub fn reboot(&self) {
        let mut site = self.site();
        site.boot += 1;
        site.actual.backstores.clear();
        site.actual.luns.clear();
        site.actual.bare_luns.clear();
        site.opened.clear();
        site.kernel = Kernel::default();
    }
}

/// Each plugin names its backstores as it likes: only those of fileio are meant.
fn is_fileio(live: &Backstore, name: &Word) -> bool {
    live.is_fileio(name.as_str())
}

fn key_of(file: &str) -> Option<ObjectKey> {
    site().key_of(file)
}

impl SimSite {
    /// What targetclid and the kernel would do; the answer is as little worth as the real one.
    fn obey(&mut self, step: &Step) -> String {
        let saves = matches!(step, Step::SaveConfig | Step::SaveConfigAlone);
        if matches!(step, Step::CreateBackstore { .. } | Step::CreateLun { .. }) || saves {
            if !self.actual.bare_luns.is_empty() {
                return "Broken LUN in ACL or TPG".into();
            }
            if saves && self.actual.backstores.iter().any(|live| !live.enabled) {
                return "Cannot read a T10 WWN attribute before the storage object is enabled".into();
            }
        }
        match step {
            Step::Refresh => self.kernel.hba_taken = false,
            Step::Greet => {}
            Step::SetAside => self.actual.saved = Saved::Missing,
            Step::DiscardLun { lun } => {
                self.actual.bare_luns.remove(&BareLun { folder: TPG.to_owned(), lun: *lun });
            }
            Step::SaveConfig if self.faults.backups => return "int() argument must be a string".into(),
            Step::SaveConfig | Step::SaveConfigAlone => {
                self.actual.saved = Saved::Readable(self.actual.inventory())
            }
            Step::DeleteLun { lun, .. } => {
                self.actual.luns.retain(|live| !(live.tpg == tpg() && live.lun == *lun));
            }
            // The real one takes the LUNs along, of any target.
            Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } => {
                self.actual.luns.retain(|live| !live.leads_to(name.as_str()));
                self.actual.backstores.retain(|live| !is_fileio(live, name));
                self.opened.remove(name.as_str());
            }
            Step::CreateBackstore { name, file, wwn } => return self.create_backstore(name, file, wwn),
            Step::AliasModel { name } => {
                let luns = self.actual.luns_of_fileio(name.as_str()).next().is_some();
                let mut live = self.actual.backstores.iter_mut().filter(|live| is_fileio(live, name));
                if let (false, Some(live)) = (luns, live.next()) {
                    live.model_alias = true;
                }
            }
            Step::CreateLun { lun, name, map_to_acls } => return self.create_lun(*lun, name, *map_to_acls),
        }
        "done".into()
    }

    fn create_lun(&mut self, lun: u16, name: &Word, map_to_acls: bool) -> String {
        if self.actual.luns.iter().any(|live| live.tpg == tpg() && live.lun == lun) {
            return "LUN already exists".into();
        }
        if !self.actual.backstores.iter().any(|live| is_fileio(live, name)) {
            return "storage object does not exist".into();
        }
        let (tpg, plugin, name) = (tpg(), FILEIO.into(), name.to_string());
        self.actual.luns.push(LunEntry { tpg, lun, plugin, name });
        for tpg in self.actual.tpg.iter_mut().filter(|_| map_to_acls) {
            tpg.acls.values_mut().for_each(|mapped| mapped.extend([lun]));
        }
        "done".into()
    }

    fn create_backstore(&mut self, name: &Word, file: &Word, wwn: &Word) -> String {
        let size = key_of(file.as_str()).and_then(|key| self.shown(&key).ok());
        let (Some(size), false) = (size, self.faults.ignored.contains(name.as_str())) else {
            return "Attempting to create file for new fileio backstore, need a size".into();
        };
        let missing =
            |live: &&Backstore| key_of(&live.file).is_some_and(|key| !self.objects.contains_key(&key));
        if let Some(missing) = self.actual.backstores.iter().find(missing) {
            return format!("[Errno 2] No such file or directory: '{}'", missing.file);
        }
        if self.kernel.hba_taken {
            return "This _Backstore already exists in configFS".into();
        }
        if self.actual.backstores.iter().any(|live| is_fileio(live, name) || live.file == file.as_str()) {
            return "storage object already exists".into();
        }
        self.kernel.inodes += 1;
        self.opened.insert(name.to_string(), self.device);
        self.actual.backstores.push(Backstore {
            plugin: FILEIO.into(),
            name: name.to_string(),
            file: file.to_string(),
            serial: wwn.to_string(),
            size,
            model_alias: false,
            enabled: true,
            inode: self.kernel.inodes,
            opened: None,
        });
        "Created".into()
    }
}
