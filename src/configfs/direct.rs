//! Changes, written into configfs: what rtslib writes, in an order in which whatever is half done can be told to be ours.
//!
//! Whoever is killed in between leaves one of these, and the next pass takes it over, finishes or discards it (M10): an
//! HBA of ours that is empty, which goes before the next change; a backstore of our name that is not enabled, or whose file has not got its name yet; one
//! without its alias, or without a LUN; a LUN that leads to nothing, under a number that our history or the plan knows.

use super::made::{Made, remove_folder, remove_link, write};
use super::read::Folder;
use super::{CORE, Configfs};
use crate::mount::Files;
use actors::model::{AclMapping, FILEIO, OPENED, Step, TpgPath, Word};
use actors::ports::LioError;
use rustix::fs::FileType;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Our first HBA. rtslib gives numbers below this to its own, and looks no further: neither takes the other's, and one that
/// is empty is ours.
pub(super) const FIRST_HBA: u32 = 1_048_576;

impl Configfs {
    /// Carries a step out; says where. The kernel opens no file but one of these.
    pub fn carry_out(&self, step: &Step, tpg: &TpgPath, files: &Files) -> Result<String, LioError> {
        if !self.is_swept.swap(true, Ordering::Relaxed) {
            self.sweep()?;
        }
        let path = match step {
            Step::CreateBackstore { name, file, wwn } => self.create_backstore(name, file, wwn, files)?,
            Step::EnableModelAlias { name } => {
                let attribute = self.home_of(name)?.join("attrib/emulate_model_alias");
                write(&attribute, "1")?;
                attribute
            }
            Step::CreateLun { lun, name, .. } => self.create_lun(tpg, *lun, name)?,
            Step::DeleteLun { lun, name } => self.delete_lun(tpg, *lun, name)?,
            Step::DeleteBackstore { name, .. } | Step::DiscardBackstore { name, .. } => {
                self.delete_backstore(name)?
            }
            Step::DiscardLun { lun } => {
                let folder = self.lun_folder(tpg, *lun);
                remove_folder(&folder)?;
                folder
            }
        };
        Ok(path.display().to_string())
    }

    /// The file is opened by us, and the kernel opens what we have open: whatever has become of its path meanwhile, nothing
    /// else is opened, and no empty file is made where it was (facts 3.8).
    fn create_backstore(
        &self,
        name: &Word,
        file: &Word,
        wwn: &Word,
        files: &Files,
    ) -> Result<PathBuf, LioError> {
        let path = Path::new(file.as_str());
        let refused = |problem: String| LioError::File { file: file.to_string(), problem };
        let (opened, size) = files.open(path).map_err(|error| refused(actors::model::with_causes(&error)))?;
        if size == 0 {
            return Err(refused("it is empty".into()));
        }
        let mut made = Made::default();
        let hba = self.new_hba(&mut made)?;
        let home = made.folder(hba.join(name.as_str()))?;
        // Before it is enabled, so that it is never one without a serial, which could be anybody's.
        write(&home.join("wwn/vpd_unit_serial"), wwn.as_str())?;
        let control = home.join("control");
        write(&control, &format!("fd_dev_name={OPENED}{},fd_dev_size={size}", opened.as_raw_fd()))?;
        write(&home.join("enable"), "1")?;
        write(&home.join("udev_path"), file.as_str())?;
        write(&control, &format!("fd_dev_name={file}"))?;
        made.keep();
        self.remember(name.as_str(), &hba);
        Ok(home)
    }

    /// The empty HBAs of ours: the agent before this one was killed beside each. Of others' numbers they are others'.
    fn sweep(&self) -> Result<(), LioError> {
        let core = self.core()?;
        for (_, hba) in super::hbas(&core)?.into_iter().filter(|(plugin, _)| plugin == FILEIO) {
            let index = hba.rsplit_once('_').and_then(|(_, index)| index.parse::<u32>().ok());
            let is_ours = index.is_some_and(|index| index >= FIRST_HBA);
            if is_ours
                && core.list(&hba, FileType::Directory)?.is_some_and(|backstores| backstores.is_empty())
            {
                remove_folder(&self.root.join(CORE).join(&hba))?;
            }
        }
        Ok(())
    }

    fn new_hba(&self, made: &mut Made) -> Result<PathBuf, LioError> {
        loop {
            let index = self.next_hba.fetch_add(1, Ordering::Relaxed);
            match made.folder(self.root.join(format!("{CORE}/{FILEIO}_{index}"))) {
                Err(LioError::Write { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
    }

    fn create_lun(&self, tpg: &TpgPath, lun: u16, name: &Word) -> Result<PathBuf, LioError> {
        let home = self.home_of(name)?;
        let mut made = Made::default();
        let folder = made.folder(self.lun_folder(tpg, lun))?;
        made.link(&home, folder.join(name.as_str()))?;
        made.keep();
        Ok(folder)
    }

    /// With its mappings, each of which would hold it; only as long as it leads to this backstore (R1).
    fn delete_lun(&self, tpg: &TpgPath, lun: u16, name: &Word) -> Result<PathBuf, LioError> {
        let folder = self.lun_folder(tpg, lun);
        if !self.lun(tpg, lun)?.is_some_and(|lun| lun.leads_to(name.as_str())) {
            return Ok(folder);
        }
        for (initiator, mapped) in self.acls(tpg)? {
            for (number, to) in mapped {
                if to.lun() == Some(lun) {
                    self.unlink(&self.root.join(format!("{tpg}/acls/{initiator}/lun_{number}")))?;
                }
            }
        }
        self.unlink(&folder)?;
        Ok(folder)
    }

    /// Maps a LUN of a TPG to one of its node ACLs, write protected (R10).
    pub fn map_lun(&self, tpg: &TpgPath, lun: u16, mapping: &AclMapping) -> Result<(), LioError> {
        let AclMapping { initiator, lun: number } = mapping;
        let mut made = Made::default();
        let folder = made.folder(self.root.join(format!("{tpg}/acls/{initiator}/lun_{number}")))?;
        made.link(&self.lun_folder(tpg, lun), folder.join(format!("lun_{lun}")))?;
        write(&folder.join("write_protect"), "1")?;
        made.keep();
        Ok(())
    }

    /// A LUN folder with its link.
    fn unlink(&self, folder: &Path) -> Result<(), LioError> {
        let Some(opened) = Folder::open(folder.to_owned())? else { return Ok(()) };
        for link in opened.list(".", FileType::Symlink)?.unwrap_or_default() {
            remove_link(&folder.join(link))?;
        }
        remove_folder(folder)
    }

    /// The kernel refuses as long as anything leads to it.
    fn delete_backstore(&self, name: &Word) -> Result<PathBuf, LioError> {
        let home = self.home_of(name)?;
        remove_folder(&home)?;
        // Somebody may have made two in one.
        if let Some(hba) = home.parent()
            && let Err(error) = remove_folder(hba)
        {
            tracing::debug!(%error, "the HBA stays");
        }
        Ok(home)
    }

    /// The folder of the fileio backstore of this name.
    fn home_of(&self, name: &Word) -> Result<PathBuf, LioError> {
        let (core, known) = (self.core()?, self.remembered(name.as_str()));
        let hbas = super::hbas(&core)?.into_iter().filter(|(plugin, _)| plugin == FILEIO).map(|(_, hba)| hba);
        for hba in known.into_iter().chain(hbas) {
            if core.below(&format!("{hba}/{name}"))?.is_some() {
                return Ok(self.root.join(CORE).join(hba).join(name.as_str()));
            }
        }
        let path = self.root.join(CORE).join(format!("{FILEIO}_*")).join(name.as_str());
        Err(LioError::Configfs { path: path.display().to_string(), source: io::ErrorKind::NotFound.into() })
    }

    fn lun_folder(&self, tpg: &TpgPath, lun: u16) -> PathBuf {
        self.root.join(format!("{tpg}/lun/lun_{lun}"))
    }
}
