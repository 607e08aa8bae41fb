//! LIO's state as the kernel shows it: every backstore, every LUN, our TPG.
//!
//! Other tools change the tree while it is read, so an entry may vanish between its listing and its reading: then it
//! is gone. Anything else that cannot be read is an error, never a shorter list (R2).

mod backstore;
mod direct;
mod homes;
mod journal;
mod opened;
mod read;
mod settle;
mod write;

use actors::decide::acl_number::acl_number;
use actors::model::{AclMapping, Backstore, BareLun, FILEIO, LunEntry, Tpg, TpgPath, Traffic};
use actors::ports::LioError;
#[cfg(fuzzing)]
pub use backstore::fuzz;
use backstore::{EnabledBackstores, backstore};
pub use direct::Change;
use homes::Homes;
pub use journal::Journal;
use read::{Folder, flag, present, text};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

/// How the `info` of a node ACL begins whose initiator is not logged in.
const NO_SESSION: &str = "No active iSCSI Session";

/// Folder of the backstores; its neighbours are the fabrics.
const CORE: &str = "core";

/// The target's configfs tree.
#[derive(Clone, Debug)]
pub struct Configfs {
    root: PathBuf,
    opened: EnabledBackstores,
    homes: Arc<Mutex<Homes>>,
    /// Where the next HBA of ours is tried first.
    next_hba: Arc<AtomicU32>,
}

/// What all fabrics have, by their folders below the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fabrics {
    /// Every LUN, sorted.
    pub luns: Vec<LunEntry>,
    /// LUN folders without a link: of TPGs, and of node ACLs.
    pub bare_luns: BTreeSet<BareLun>,
    /// Every portal and node ACL.
    pub others: BTreeSet<String>,
}

/// What a LUN folder leads to.
enum Link {
    /// A backstore, or of a node ACL's a LUN.
    To(PathBuf),
    /// Nothing: it is half made.
    Bare,
}

/// The LUN folders of a TPG or of a node ACL: number, and where it leads.
type Links = Vec<(u16, Link)>;

/// By initiator: the number under which it sees a LUN.
pub type Mapped = BTreeMap<String, u16>;

impl Link {
    /// The number of the LUN that it leads to.
    fn lun(&self) -> Option<u16> {
        match self {
            Link::To(target) => number(&target.file_name()?.to_string_lossy()),
            Link::Bare => None,
        }
    }
}

impl Configfs {
    /// `/sys/kernel/config/target`, or a copy of it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let (opened, homes) = (EnabledBackstores::default(), Arc::default());
        let next_hba = Arc::new(AtomicU32::new(direct::FIRST_HBA));
        Configfs { root: root.into(), opened, homes, next_hba }
    }

    /// The folder of saveconfig.json: the distribution's choice, which rtslib tells the kernel (facts 1.4).
    pub fn dbroot(&self) -> Result<PathBuf, LioError> {
        text(&self.dbroot_file()).map(PathBuf::from)
    }

    /// The file that names it.
    pub fn dbroot_file(&self) -> PathBuf {
        self.root.join("dbroot")
    }

    /// Every backstore, sorted.
    pub fn backstores(&self) -> Result<Vec<Backstore>, LioError> {
        let core = self.core()?;
        // Before they are listed: what comes meanwhile is searched for.
        let (mut found, mut homes) = (Vec::new(), Homes { links: core.links()?, ..Homes::default() });
        for (plugin, hba) in hbas(&core)? {
            for name in core.list(&hba, FileType::Directory)?.unwrap_or_default() {
                found.extend(backstore(&plugin, &core, &hba, &name, &self.opened)?);
                if plugin == FILEIO {
                    homes.hbas.insert(name, hba.clone());
                }
            }
        }
        *self.homes() = homes;
        self.opened.keep(&found.iter().map(|b: &Backstore| b.inode).collect());
        found.sort_by(|a, b| (&a.plugin, &a.name).cmp(&(&b.plugin, &b.name)));
        Ok(found)
    }

    /// The HBAs, one for each backstore: `fileio_7`.
    pub fn hbas(&self) -> Result<BTreeSet<String>, LioError> {
        Ok(hbas(&self.core()?)?.into_iter().map(|(_, hba)| hba).collect())
    }

    /// One fileio backstore; `None` if there is none of this name.
    pub fn fileio(&self, name: &str) -> Result<Option<Backstore>, LioError> {
        let core = self.core()?;
        match self.hba_of(&core, name)? {
            Some(hba) => backstore(FILEIO, &core, &hba, name, &self.opened),
            None => Ok(None),
        }
    }

    /// LUNs, portals and node ACLs of every fabric. What a fabric has beside targets and TPGs has no such folders.
    pub fn fabrics(&self) -> Result<Fabrics, LioError> {
        let mut found = Fabrics::default();
        let fabrics = self.folders("")?.ok_or_else(|| gone(&self.root))?;
        for fabric in fabrics.into_iter().filter(|name| name != CORE) {
            for wwn in self.folders(&fabric)?.unwrap_or_default() {
                let target = format!("{fabric}/{wwn}");
                let tpgs = self.folders(&target)?.unwrap_or_default();
                for tpg in tpgs.into_iter().filter(|name| name.starts_with("tpgt_")) {
                    self.look_into(&TpgPath::new(format!("{target}/{tpg}")), &mut found)?;
                }
            }
        }
        found.luns.sort();
        Ok(found)
    }

    /// One LUN of the TPG whose folder this is; `None` if there is none of this number, or it leads nowhere yet.
    pub fn lun(&self, tpg: &TpgPath, lun: u16) -> Result<Option<LunEntry>, LioError> {
        let Some(luns) = Folder::open(self.root.join(format!("{tpg}/lun")))? else { return Ok(None) };
        Ok(match link(&luns, &format!("lun_{lun}"))? {
            Some(Link::To(target)) => entry(tpg, lun, &target),
            Some(Link::Bare) | None => None,
        })
    }

    /// Under which number each initiator that has one sees this LUN of a TPG; of several the lowest.
    pub fn mapped(&self, tpg: &TpgPath, lun: u16) -> Result<Mapped, LioError> {
        let lowest = |mapped: Links| {
            mapped.into_iter().filter(|(_, to)| to.lun() == Some(lun)).map(|(number, _)| number).min()
        };
        let acls = self.acls(tpg)?.into_iter();
        Ok(acls.filter_map(|(initiator, mapped)| Some((initiator, lowest(mapped)?))).collect())
    }

    /// The node ACLs of a TPG that have no mapping to this LUN, each with the number under which it gets one; `before` are
    /// the numbers that they had. No ACL without a free number.
    pub fn unmapped(&self, tpg: &TpgPath, lun: u16, before: &Mapped) -> Result<Vec<AclMapping>, LioError> {
        let mut found = Vec::new();
        for (initiator, mapped) in self.acls(tpg)? {
            if !mapped.iter().any(|(_, to)| to.lun() == Some(lun)) {
                let taken: BTreeSet<u16> = mapped.into_iter().map(|(number, _)| number).collect();
                let free = acl_number(lun, before.get(&initiator).copied(), &taken);
                found.extend(free.map(|lun| AclMapping { initiator, lun }));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The initiators that may write to LUNs of a TPG, with the TPG's numbers. targetcli makes such mappings unless it
    /// is told otherwise, and `prod_mode_write_protect` does not protect them.
    pub fn writable(&self, tpg: &TpgPath) -> Result<BTreeSet<AclMapping>, LioError> {
        let mut found = BTreeSet::new();
        for (initiator, mapped) in self.acls(tpg)? {
            for (number, to) in mapped {
                let protected = format!("{tpg}/acls/{initiator}/lun_{number}/write_protect");
                if flag(&self.root.join(protected))? == Some(false) {
                    found.extend(to.lun().map(|lun| AclMapping { initiator: initiator.clone(), lun }));
                }
            }
        }
        Ok(found)
    }

    /// The TPG whose folder this is; `None` if it has not been provisioned.
    pub fn tpg(&self, path: &TpgPath) -> Result<Option<Tpg>, LioError> {
        let tpg = self.root.join(path.as_str());
        let is_on = |attribute: &str| flag(&tpg.join(attribute));
        let Some(enabled) = is_on("enable")? else { return Ok(None) };
        let protected = |mode| is_on(mode).map(|on| on == Some(true));
        let write_protected =
            protected("attrib/demo_mode_write_protect")? && protected("attrib/prod_mode_write_protect")?;
        let numbers = |mapped: Links| mapped.iter().filter_map(|(_, to)| to.lun()).collect();
        let acls =
            self.acls(path)?.into_iter().map(|(initiator, mapped)| (initiator, numbers(mapped))).collect();
        let (writable, sessions, traffic) = (self.writable(path)?, self.sessions(path)?, self.traffic(path)?);
        Ok(Some(Tpg { enabled, write_protected, acls, writable, sessions, traffic }))
    }

    /// The initiators that are logged in to a TPG: those without a node ACL it lists itself, and each ACL knows of its own.
    fn sessions(&self, tpg: &TpgPath) -> Result<BTreeSet<String>, LioError> {
        let dynamic = present(text(&self.root.join(format!("{tpg}/dynamic_sessions"))))?.unwrap_or_default();
        let mut sessions: BTreeSet<String> = dynamic
            .split(['\n', '\0'])
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        for initiator in self.folders(&format!("{tpg}/acls"))?.unwrap_or_default() {
            let info = present(text(&self.root.join(format!("{tpg}/acls/{initiator}/info"))))?;
            if info.is_some_and(|info| !info.starts_with(NO_SESSION)) {
                sessions.insert(initiator);
            }
        }
        Ok(sessions)
    }

    /// What has been asked of each LUN of a TPG (facts 3.2). One that is half made, or whose counts are not there or no
    /// numbers, is left out.
    fn traffic(&self, tpg: &TpgPath) -> Result<BTreeMap<u16, Traffic>, LioError> {
        let Some(luns) = Folder::open(self.root.join(format!("{tpg}/lun")))? else {
            return Ok(BTreeMap::new());
        };
        let mut traffic = BTreeMap::new();
        for name in luns.list(".", FileType::Directory)?.unwrap_or_default() {
            let count = |of: &str| -> Result<Option<u64>, LioError> {
                match luns.text(&format!("{name}/statistics/scsi_tgt_port/{of}")) {
                    // It leads to no backstore (yet).
                    Err(LioError::Configfs { source, .. }) if is_no_device(&source) => Ok(None),
                    text => Ok(text?.and_then(|text| text.parse().ok())),
                }
            };
            let seen = (number(&name), count("in_cmds")?, count("read_mbytes")?);
            if let (Some(lun), Some(commands), Some(read_mib)) = seen {
                traffic.insert(lun, Traffic { commands, read_mib });
            }
        }
        Ok(traffic)
    }

    fn core(&self) -> Result<Folder, LioError> {
        let core = self.root.join(CORE);
        Folder::open(core.clone())?.ok_or_else(|| gone(&core))
    }

    fn look_into(&self, tpg: &TpgPath, found: &mut Fabrics) -> Result<(), LioError> {
        for (lun, link) in self.links(&format!("{tpg}/lun"))? {
            match link {
                Link::To(target) => found.luns.extend(entry(tpg, lun, &target)),
                Link::Bare => found.bare_luns.extend([BareLun { folder: tpg.to_string(), lun }]),
            }
        }
        let portals = self.folders(&format!("{tpg}/np"))?.unwrap_or_default();
        found.others.extend(portals.into_iter().map(|portal| format!("{tpg}/np/{portal}")));
        for (initiator, mapped) in self.acls(tpg)? {
            let acl = format!("{tpg}/acls/{initiator}");
            // Like a LUN without a backstore it fails every save, and every deletion of a LUN of its TPG.
            let bare = mapped.into_iter().filter(|(_, to)| matches!(to, Link::Bare));
            found.bare_luns.extend(bare.map(|(lun, _)| BareLun { folder: acl.clone(), lun }));
            found.others.insert(acl);
        }
        Ok(())
    }

    /// The node ACLs of a TPG, and what each maps: its own number, and where that leads.
    fn acls(&self, tpg: &TpgPath) -> Result<Vec<(String, Links)>, LioError> {
        let folder = format!("{tpg}/acls");
        let mapped = |initiator: String| {
            self.links(&format!("{folder}/{initiator}")).map(|mapped| (initiator, mapped))
        };
        self.folders(&folder)?.unwrap_or_default().into_iter().map(mapped).collect()
    }

    /// The folders `lun_<n>` in this one. Nobody's tool makes a number above 65535.
    fn links(&self, folder: &str) -> Result<Links, LioError> {
        let Some(folder) = Folder::open(self.root.join(folder))? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in folder.list(".", FileType::Directory)?.unwrap_or_default() {
            if let Some(number) = number(&name) {
                found.extend(link(&folder, &name)?.map(|link| (number, link)));
            }
        }
        Ok(found)
    }

    /// The folders in this one; `None` if it is not there.
    fn folders(&self, folder: &str) -> Result<Option<Vec<String>>, LioError> {
        match Folder::open(self.root.join(folder))? {
            Some(folder) => folder.list(".", FileType::Directory),
            None => Ok(None),
        }
    }
}

fn is_no_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

fn gone(folder: &Path) -> LioError {
    LioError::Configfs { path: folder.display().to_string(), source: io::ErrorKind::NotFound.into() }
}

/// Each backstore has a folder of its own, `fileio_3`, which says of which plugin it is.
fn hbas(core: &Folder) -> Result<Vec<(String, String)>, LioError> {
    let hbas = core.list(".", FileType::Directory)?.unwrap_or_default();
    Ok(hbas.into_iter().filter_map(|hba| Some((plugin(&hba)?, hba))).collect())
}

/// Where the one link of a LUN folder leads; its attributes and groups are no links. `None` if it is gone.
fn link(folder: &Folder, lun: &str) -> Result<Option<Link>, LioError> {
    let Some(links) = folder.list(lun, FileType::Symlink)? else { return Ok(None) };
    let Some(name) = links.first() else { return Ok(Some(Link::Bare)) };
    Ok(folder.link(&format!("{lun}/{name}"))?.map(Link::To))
}

/// `fileio_3` -> `fileio`, by the name that targetcli and saveconfig.json use. `None` for what is no HBA (`alua`).
fn plugin(hba: &str) -> Option<String> {
    let (prefix, index) = hba.rsplit_once('_')?;
    index.parse::<u32>().ok()?;
    Some(match prefix {
        "iblock" => "block".to_owned(),
        "rd_mcp" => "ramdisk".to_owned(),
        same => same.to_owned(),
    })
}

/// `lun_300` -> 300.
fn number(folder: &str) -> Option<u16> {
    folder.strip_prefix("lun_")?.parse().ok()
}

/// The LUN that leads there.
fn entry(tpg: &TpgPath, lun: u16, target: &Path) -> Option<LunEntry> {
    named(target).map(|(plugin, name)| LunEntry { tpg: tpg.clone(), lun, plugin, name })
}

/// `../../../../../../target/core/fileio_2/NAME` -> (`fileio`, `NAME`).
fn named(link: &Path) -> Option<(String, String)> {
    let name = link.file_name()?.to_string_lossy().into_owned();
    let hba = link.parent()?;
    if !hba.parent()?.ends_with(CORE) {
        return None;
    }
    Some((plugin(&hba.file_name()?.to_string_lossy())?, name))
}

#[cfg(test)]
mod tests;
