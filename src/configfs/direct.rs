//! Changes, written into configfs: what rtslib writes. Of a change of several writes the journal knows until the last: one
//! that fails, or that the agent was killed in the middle of, is taken back or finished by `settle` (M10).

use super::journal::{Journal, Lun, Mapping, UnderWay};
use super::read::{Folder, flag};
use super::write::{failed, make_folder, make_link, remove_folder, remove_link, write};
use super::{CORE, Configfs, Mapped};
use actors::model::{AclMapping, FILEIO, OPENED, Step, TpgPath, Word};
use actors::ports::LioError;
use rustix::fs::FileType;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Our first HBA. rtslib gives numbers below this to its own, and looks no further: neither takes the other's.
pub(super) const FIRST_HBA: u32 = 1_048_576;

/// The group that the kernel makes with each backstore.
const DEFAULT_ALUA_GROUP: &str = "default_tg_pt_gp";

/// A step, and what it needs beside itself.
#[derive(Debug)]
pub struct Change<'a> {
    /// What to do.
    pub step: &'a Step,
    /// Our TPG.
    pub tpg: &'a TpgPath,
    /// The file of a new backstore, and its size in bytes. The kernel opens what is open here: whatever has become of its
    /// path meanwhile, nothing else is opened, and no empty file is made where it was (facts 3.8).
    pub file: Option<(OwnedFd, u64)>,
    /// The numbers under which initiators saw a LUN that is made anew.
    pub before: &'a Mapped,
    /// Of what is under way.
    pub journal: &'a Journal,
}

impl Configfs {
    /// Carries a step out; says where. What is cut short by an error is settled at once, if that is possible.
    pub fn carry_out(&self, change: &Change<'_>) -> Result<String, LioError> {
        let Change { step, tpg, journal, .. } = *change;
        let path = match step {
            Step::CreateBackstore { name, file, wwn } => self.create_backstore(name, file, wwn, change)?,
            Step::EnableModelAlias { name } => {
                let attribute = self.home_of(name)?.join("attrib/emulate_model_alias");
                write(&attribute, "1")?;
                attribute
            }
            Step::CreateLun { lun, name, map_to_acls } => {
                self.create_lun(*lun, name, *map_to_acls, change)?
            }
            Step::DeleteLun { lun, name } => self.delete_lun(tpg, *lun, name, journal)?,
            Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } => {
                self.delete_backstore(name, journal)?
            }
            Step::DiscardLun { lun } => {
                let folder = self.lun_folder(tpg, *lun);
                // It may have been settled since it was planned.
                if folder.exists() {
                    remove_folder(&folder)?;
                }
                folder
            }
        };
        Ok(path.display().to_string())
    }

    /// Nothing else is under way.
    fn under_way<T>(
        &self,
        journal: &Journal,
        what: UnderWay,
        change: impl FnOnce() -> Result<T, LioError>,
    ) -> Result<T, LioError> {
        journal.begin(what)?;
        let changed = change();
        if changed.is_ok() {
            journal.end()?;
        } else if let Err(error) = self.settle(journal) {
            tracing::debug!(%error, "it could not be taken back now");
        }
        changed
    }

    fn create_backstore(
        &self,
        name: &Word,
        file: &Word,
        wwn: &Word,
        change: &Change<'_>,
    ) -> Result<PathBuf, LioError> {
        let refused = |problem: &str| LioError::File { file: file.to_string(), problem: problem.into() };
        let (opened, size) = change.file.as_ref().ok_or_else(|| refused("it is not open"))?;
        if *size == 0 {
            return Err(refused("it is empty"));
        }
        let hba = self.free_hba()?;
        let home = self.root.join(CORE).join(&hba).join(name.as_str());
        let (name, serial) = (name.to_string(), wwn.to_string());
        let what = UnderWay::CreateBackstore { hba: hba.clone(), name: name.clone(), serial };
        self.under_way(change.journal, what, || {
            make_folder(&self.root.join(CORE).join(&hba))?;
            make_folder(&home)?;
            write(&home.join("wwn/vpd_unit_serial"), wwn.as_str())?;
            let control = home.join("control");
            write(&control, &format!("fd_dev_name={OPENED}{},fd_dev_size={size}", opened.as_raw_fd()))?;
            write(&home.join("enable"), "1")?;
            write(&home.join("udev_path"), file.as_str())?;
            write(&control, &format!("fd_dev_name={file}"))
        })?;
        self.remember(&name, hba);
        Ok(home)
    }

    /// The name of the next HBA of ours.
    fn free_hba(&self) -> Result<String, LioError> {
        let core = self.core()?;
        loop {
            let hba = format!("{FILEIO}_{}", self.next_hba.fetch_add(1, Ordering::Relaxed));
            if core.below(&hba)?.is_none() {
                return Ok(hba);
            }
        }
    }

    fn create_lun(
        &self,
        lun: u16,
        name: &Word,
        map_to_acls: bool,
        change: &Change<'_>,
    ) -> Result<PathBuf, LioError> {
        let (home, tpg, folder) = (self.home_of(name)?, change.tpg, self.lun_folder(change.tpg, lun));
        if folder.exists() {
            // Whoever made it: it is not under way with us.
            return Err(failed(&folder, io::ErrorKind::AlreadyExists.into()));
        }
        let unmapped = if map_to_acls { self.unmapped(tpg, lun, change.before)? } else { Vec::new() };
        // R10: whoever maps it, nobody writes to it.
        let to_be_made =
            |AclMapping { initiator, lun: number }| Mapping { initiator, number, write_protect: true };
        let mappings: Vec<Mapping> = unmapped.into_iter().map(to_be_made).collect();
        let what = UnderWay::CreateLun(described(tpg, lun, name, mappings.clone()));
        self.under_way(change.journal, what, || {
            make_folder(&folder)?;
            make_link(&home, &folder.join(name.as_str()))?;
            mappings.iter().try_for_each(|mapping| self.map_lun(tpg, lun, mapping))
        })?;
        Ok(folder)
    }

    /// With its mappings, each of which would hold it; only as long as it leads to this backstore (R1).
    fn delete_lun(
        &self,
        tpg: &TpgPath,
        lun: u16,
        name: &Word,
        journal: &Journal,
    ) -> Result<PathBuf, LioError> {
        let folder = self.lun_folder(tpg, lun);
        if !self.lun(tpg, lun)?.is_some_and(|lun| lun.leads_to(name.as_str())) {
            return Ok(folder);
        }
        let mut mappings = Vec::new();
        for (initiator, mapped) in self.acls(tpg)? {
            for (number, _) in mapped.into_iter().filter(|(_, to)| to.lun() == Some(lun)) {
                let mut mapping = Mapping { initiator: initiator.clone(), number, write_protect: true };
                let protected = self.mapping_folder(tpg, &mapping).join("write_protect");
                mapping.write_protect = flag(&protected)? != Some(false);
                mappings.push(mapping);
            }
        }
        let what = UnderWay::DeleteLun(described(tpg, lun, name, mappings.clone()));
        self.under_way(journal, what, || {
            mappings.iter().try_for_each(|mapping| unlink(&self.mapping_folder(tpg, mapping)))?;
            unlink(&folder)
        })?;
        Ok(folder)
    }

    /// The kernel refuses as long as anything leads to it.
    fn delete_backstore(&self, name: &Word, journal: &Journal) -> Result<PathBuf, LioError> {
        let Some(hba) = self.hba_of(&self.core()?, name.as_str())? else {
            // It may have been settled since it was planned.
            return Ok(self.root.join(CORE));
        };
        let home = self.root.join(CORE).join(&hba).join(name.as_str());
        self.under_way(journal, UnderWay::DeleteBackstore { hba: hba.clone() }, || {
            // As rtslib does: somebody may have made groups in it.
            if let Some(groups) = Folder::open(home.join("alua"))? {
                for group in groups.list(".", FileType::Directory)?.unwrap_or_default() {
                    if group != DEFAULT_ALUA_GROUP {
                        remove_folder(&home.join("alua").join(group))?;
                    }
                }
            }
            remove_folder(&home)?;
            match remove_folder(&self.root.join(CORE).join(&hba)) {
                Ok(()) => self.forget(name.as_str()),
                // Somebody may have made two in one.
                Err(error) => tracing::debug!(%error, "the HBA stays"),
            }
            Ok(())
        })?;
        Ok(home)
    }

    /// The folder of the fileio backstore of this name.
    fn home_of(&self, name: &Word) -> Result<PathBuf, LioError> {
        let core = self.root.join(CORE);
        let path = |hba: &str| core.join(hba).join(name.as_str());
        match self.hba_of(&self.core()?, name.as_str())? {
            Some(hba) => Ok(path(&hba)),
            None => Err(LioError::Configfs {
                path: path("fileio_*").display().to_string(),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    pub(super) fn lun_folder(&self, tpg: &TpgPath, lun: u16) -> PathBuf {
        self.root.join(format!("{tpg}/lun/lun_{lun}"))
    }

    pub(super) fn mapping_folder(&self, tpg: &TpgPath, mapping: &Mapping) -> PathBuf {
        self.root.join(format!("{tpg}/acls/{}/lun_{}", mapping.initiator, mapping.number))
    }
}

fn described(tpg: &TpgPath, number: u16, name: &Word, mappings: Vec<Mapping>) -> Lun {
    Lun { tpg: tpg.to_string(), number, name: name.to_string(), mappings }
}

/// A LUN folder with its link.
fn unlink(folder: &Path) -> Result<(), LioError> {
    let Some(opened) = Folder::open(folder.to_owned())? else { return Ok(()) };
    for link in opened.list(".", FileType::Symlink)?.unwrap_or_default() {
        remove_link(&folder.join(link))?;
    }
    remove_folder(folder)
}
