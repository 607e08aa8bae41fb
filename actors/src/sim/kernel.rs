//! The simulated LIO: targetclid and the kernel behind it.

use super::{Sim, SimSite, TPG, site, tpg};
use crate::model::{
    Actual, Backstore, BareLun, Etag, FILEIO, LunEntry, ObjectKey, Request, Saved, Step, Traffic, Word,
};
use crate::ports::{LioError, LioPort, Rest};
use crate::sim::MOUNT;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What nobody but the daemon and the kernel knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// Inodes given so far.
    inodes: u64,
    /// Another process has made a backstore: the index of the HBA that the daemon would take next is taken.
    hba_taken: bool,
    /// Commands that came too late, and are carried out before the next one.
    late: Vec<Request>,
    /// What saveconfig.json holds of each backstore beside its entry: the size of then, above all.
    saved: Vec<Backstore>,
    /// What initiators have asked of our TPG's LUNs; of a new one nothing.
    traffic: BTreeMap<u16, Traffic>,
    /// Files that LIO has made by opening them: until it closes them, nobody but s3fs knows of them.
    pub(super) unborn: BTreeSet<ObjectKey>,
}

impl LioPort for Sim {
    fn observe(&mut self) -> Result<Actual, LioError> {
        let site = self.site();
        match site.faults.configfs {
            true => Err(LioError::Configfs { path: "sim".into(), source: std::io::ErrorKind::Other.into() }),
            false => Ok(site.shown_by_configfs()),
        }
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        Ok(self.site().actual.backstores.iter().find(|live| is_fileio(live, name)).cloned())
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        Ok(self.site().actual.luns.iter().find(|lun| lun.tpg == tpg() && lun.lun == number).cloned())
    }

    fn apply(&mut self, request: &Request) -> Result<String, LioError> {
        let mut site = self.site();
        let command = request.to_string();
        let (request, with_lock) = match request {
            Request::Unlocked(request) => (&**request, false),
            request => (request, true),
        };
        if let Request::Direct(_) = request
            && !(site.faults.locked && with_lock)
        {
            // targetclid has no part in it.
            if site.faults.sandboxed {
                let source = std::io::ErrorKind::ReadOnlyFilesystem.into();
                return Err(LioError::Write { path: "sim".into(), source });
            }
            site.told.push(request.clone());
            return Ok(site.obey(request));
        }
        if site.faults.locked && with_lock && !matches!(request, Request::Refresh | Request::SetAside) {
            let (path, holder) = ("/var/run/targetcli.lock".to_owned(), "pid 4711 (targetcli)".to_owned());
            return Err(LioError::Locked { command, path, holder, seconds: 10 });
        }
        if site.faults.busy {
            return Err(LioError::Busy { command, holder: "pid 4711 (targetcli)".into(), seconds: 10 });
        }
        if site.faults.targetclid {
            return Err(LioError::Timeout { command, seconds: 1 });
        }
        for late in std::mem::take(&mut site.kernel.late) {
            site.obey(&late);
        }
        if let Request::Change(Step::CreateBackstore { name, .. }) = request
            && site.faults.hang_ups.contains(name.as_str())
        {
            return Err(LioError::Session { command, problem: "the daemon hung up".into() });
        }
        site.told.push(request.clone());
        if site.faults.late > 0 {
            site.faults.late -= 1;
            site.kernel.late.push(request.clone());
            return Err(LioError::Timeout { command, seconds: 1 });
        }
        Ok(site.obey(request))
    }

    fn rest(&mut self, _: Rest) {}
}

impl Sim {
    /// Another process changes LIO: plain targetcli, say. Whatever it makes, targetclid does not know of.
    pub fn another_hand(&self, change: impl FnOnce(&mut Actual)) {
        let mut site = self.site();
        let before = site.actual.backstores.len();
        change(&mut site.actual);
        site.kernel.hba_taken |= site.actual.backstores.len() > before;
    }

    /// An initiator reads so many MiB from a LUN.
    pub fn read(&self, lun: u16, mib: u64) {
        let mut site = self.site();
        let traffic = site.kernel.traffic.entry(lun).or_default();
        traffic.read_mib += mib;
        traffic.commands += mib;
    }

    /// A path checker looks whether a LUN answers.
    pub fn check_path(&self, lun: u16) {
        self.site().kernel.traffic.entry(lun).or_default().commands += 1;
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

    /// The node boots: LIO is empty until something is restored. Without [`Sim::restore`] nothing is.
    pub fn reboot(&self) {
        let mut site = self.site();
        site.boot += 1;
        let (live, mut saved) =
            (std::mem::take(&mut site.actual.backstores), std::mem::take(&mut site.kernel.saved));
        saved.retain(|old| !live.iter().any(|new| new.entry() == old.entry()));
        saved.extend(live);
        site.actual.luns.clear();
        site.actual.bare_luns.clear();
        site.opened.clear();
        site.kernel = Kernel { saved, ..Kernel::default() };
    }

    /// target.service, or `targetcli restoreconfig`, after a boot: every saved backstore is made again with the size
    /// that was saved, whatever its file is now. The kernel opens with O_CREAT (facts 3.8): a file that is not there is
    /// made, and s3fs uploads it, empty, when LIO closes it. Without the mount there is no folder to make it in, and
    /// the backstore is left out.
    pub fn restore(&self) {
        let mut site = self.site();
        let Saved::Readable(saved) = site.actual.saved.clone() else { return };
        for old in std::mem::take(&mut site.kernel.saved) {
            let key = key_of(&old.file);
            if !saved.backstores.contains(&old.entry()) || (key.is_some() && site.faults.mount) {
                continue;
            }
            let unborn = key.filter(|key| !site.objects.contains_key(key));
            site.kernel.unborn.extend(unborn);
            site.kernel.inodes += 1;
            let (inode, device) = (site.kernel.inodes, site.device);
            site.opened.insert(old.name.clone(), device);
            let luns = saved.luns.iter().filter(|lun| lun.leads_to_entry(&old.entry()));
            site.actual.luns.extend(luns.cloned());
            site.actual.backstores.push(Backstore { inode, ..old });
        }
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
    fn shown_by_configfs(&self) -> Actual {
        let mut actual = self.actual.clone();
        let ours = self.actual.luns.iter().filter(|lun| lun.tpg == tpg());
        let traffic =
            ours.map(|lun| (lun.lun, self.kernel.traffic.get(&lun.lun).copied().unwrap_or_default()));
        if let Some(tpg) = actual.tpg.as_mut().filter(|_| !self.faults.uncounted) {
            tpg.traffic = traffic.collect();
        }
        actual
    }

    /// What targetclid and the kernel would do; the answer is as little worth as the real one.
    fn obey(&mut self, request: &Request) -> String {
        let saves = matches!(request, Request::Save { .. });
        let creates = |step: &Step| matches!(step, Step::CreateBackstore { .. } | Step::CreateLun { .. });
        if saves || matches!(request, Request::Change(step) if creates(step)) {
            if !self.actual.bare_luns.is_empty() {
                return "Broken LUN in ACL or TPG".into();
            }
            if saves && self.actual.backstores.iter().any(|live| !live.enabled) {
                return "Cannot read a T10 WWN attribute before the storage object is enabled".into();
            }
        }
        match request {
            Request::Change(step) => return self.change(step),
            Request::Direct(Step::CreateBackstore { name, file, wwn }) => {
                return self.make_backstore(name, file, wwn);
            }
            Request::Direct(step) => return self.change(step),
            Request::Unlocked(request) => return self.obey(request),
            Request::Refresh => self.kernel.hba_taken = false,
            Request::Probe => {}
            Request::SetAside => self.actual.saved = Saved::Missing,
            Request::Save { backup: true } if self.faults.backups => {
                return "int() argument must be a string".into();
            }
            Request::Save { .. } => self.actual.saved = Saved::Readable(self.actual.inventory()),
        }
        "done".into()
    }

    fn change(&mut self, step: &Step) -> String {
        match step {
            Step::DiscardLun { lun } => {
                self.actual.bare_luns.remove(&BareLun { folder: TPG.to_owned(), lun: *lun });
            }
            Step::DeleteLun { lun, .. } => {
                self.actual.luns.retain(|live| !(live.tpg == tpg() && live.lun == *lun));
            }
            // The real one takes the LUNs along, of any target.
            Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } => {
                self.actual.luns.retain(|live| !live.leads_to(name.as_str()));
                let gone: Vec<Backstore> =
                    self.actual.backstores.extract_if(.., |live| is_fileio(live, name)).collect();
                self.opened.remove(name.as_str());
                gone.iter().for_each(|gone| self.close(&gone.file));
            }
            Step::CreateBackstore { name, file, wwn } => return self.create_backstore(name, file, wwn),
            Step::EnableModelAlias { name } => {
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

    /// LIO closes a file: what it has made by opening it is uploaded.
    fn close(&mut self, file: &str) {
        if let Some(key) = key_of(file).filter(|key| self.kernel.unborn.remove(key)) {
            let uploaded = Duration::from_secs(self.modified.len() as u64 + 1);
            self.modified.insert(key.clone(), uploaded);
            self.objects.entry(key).or_insert((Etag::new("empty"), Vec::new()));
        }
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
        self.kernel.traffic.remove(&lun);
        for tpg in self.actual.tpg.iter_mut().filter(|_| map_to_acls) {
            tpg.acls.values_mut().for_each(|mapped| mapped.extend([lun]));
        }
        "done".into()
    }

    fn create_backstore(&mut self, name: &Word, file: &Word, wwn: &Word) -> String {
        let size = key_of(file.as_str()).and_then(|key| self.shown(&key).ok());
        let (Some(_), false) = (size, self.faults.ignored.contains(name.as_str())) else {
            return "Attempting to create file for new fileio backstore, need a size".into();
        };
        let is_there = |key: &ObjectKey| self.objects.contains_key(key) || self.kernel.unborn.contains(key);
        let missing = |live: &&Backstore| key_of(&live.file).is_some_and(|key| !is_there(&key));
        if let Some(missing) = self.actual.backstores.iter().find(missing) {
            return format!("[Errno 2] No such file or directory: '{}'", missing.file);
        }
        if self.kernel.hba_taken {
            return "This _Backstore already exists in configFS".into();
        }
        if self.actual.backstores.iter().any(|live| is_fileio(live, name) || live.file == file.as_str()) {
            return "storage object already exists".into();
        }
        self.make_backstore(name, file, wwn)
    }

    /// What the kernel does, who may ask it to.
    fn make_backstore(&mut self, name: &Word, file: &Word, wwn: &Word) -> String {
        let Some(size) = key_of(file.as_str()).and_then(|key| self.shown(&key).ok()) else {
            return "No such file or directory".into();
        };
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
