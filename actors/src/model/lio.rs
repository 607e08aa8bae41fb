//! What configfs and saveconfig.json show.

use super::identity::Identity;
use super::word::Word;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A TPG of any fabric, by its folder below the configfs root: `iscsi/<iqn>/tpgt_1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TpgPath(String);

impl TpgPath {
    /// Takes the folder.
    pub fn new(folder: impl Into<String>) -> Self {
        TpgPath(folder.into())
    }

    /// The folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of its target: of an iSCSI one the IQN.
    pub fn target(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for TpgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A storage object in configfs, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backstore {
    /// `fileio`, `block`, `ramdisk`, ...
    pub plugin: String,
    /// Name in its plugin.
    pub name: String,
    /// `udev_path`: the file or device. Empty if it has none.
    pub file: String,
    /// `vpd_unit_serial`. Empty if it has none.
    pub serial: String,
    /// Bytes, from `info`. Zero if it does not say.
    pub size: u64,
    /// `emulate_model_alias`: whether initiators see its name as the product (facts 2.4).
    pub model_alias: bool,
    /// `enable`: its file has been opened. Not so while, or if, its creation hung or was cut short.
    pub enabled: bool,
    /// Inode of its folder in configfs: another one if it was removed and made anew.
    pub inode: u64,
    /// When its file was opened, since boot (`statistics/scsi_lu/creation_time`); `None` if the kernel does not say.
    pub opened: Option<Duration>,
}

impl Backstore {
    /// What of it is saved.
    pub fn entry(&self) -> BackstoreEntry {
        BackstoreEntry {
            plugin: self.plugin.clone(),
            name: self.name.clone(),
            file: self.file.clone(),
            serial: self.serial.clone(),
        }
    }

    /// Half made, where one with this file and serial was to be. Whoever made it was killed, or hung, before its file was
    /// open, and perhaps before it had a serial or a file; or we were, after that and before its file had its name.
    pub fn is_cut_short(&self, file: &str, serial: &str) -> bool {
        let is_ours = self.serial == serial;
        match self.enabled {
            true => is_ours && self.file.starts_with(OPENED),
            false => {
                let is_ours = is_ours || self.serial.is_empty();
                is_ours && (self.file == file || self.file.is_empty() || self.file.starts_with(OPENED))
            }
        }
    }

    /// Whether it is the fileio backstore of this name.
    pub fn is_fileio(&self, name: &str) -> bool {
        self.plugin == FILEIO && self.name == name
    }
}

/// So begins the name of a file by which we have the kernel open one that we have opened ourselves: no other can be in its
/// place by then, and none is made where it is gone (facts 3.8). It is given its own name at once.
pub const OPENED: &str = "/proc/self/fd/";

/// The plugin of every backstore of ours.
pub const FILEIO: &str = "fileio";

/// What saveconfig.json holds of a backstore, of that which we compare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackstoreEntry {
    /// See [`Backstore::plugin`].
    pub plugin: String,
    /// See [`Backstore::name`].
    pub name: String,
    /// See [`Backstore::file`].
    pub file: String,
    /// See [`Backstore::serial`].
    pub serial: String,
}

/// A LUN in configfs, in any fabric, target and TPG.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LunEntry {
    /// Whose it is.
    pub tpg: TpgPath,
    /// LUN number.
    pub lun: u16,
    /// Plugin of its backstore.
    pub plugin: String,
    /// Name of its backstore.
    pub name: String,
}

impl LunEntry {
    /// Whether it leads to the fileio backstore of this name.
    pub fn leads_to(&self, name: &str) -> bool {
        self.plugin == FILEIO && self.name == name
    }

    /// Whether it leads to this backstore.
    pub fn leads_to_entry(&self, backstore: &BackstoreEntry) -> bool {
        self.plugin == backstore.plugin && self.name == backstore.name
    }
}

/// A LUN folder that leads to no backstore: half made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BareLun {
    /// Folder of the TPG, or of its ACL, below the configfs root.
    pub folder: String,
    /// Its number there.
    pub lun: u16,
}

/// A LUN of our TPG as an ACL maps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclMapping {
    /// Whose ACL.
    pub initiator: String,
    /// LUN number.
    pub lun: u16,
}

/// What initiators have asked of a LUN since it was created (facts 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Commands of any kind: those by which a path checker looks whether it answers are among them.
    pub commands: u64,
    /// Whole MiB that were read.
    pub read_mib: u64,
}

/// Our TPG, as configfs has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tpg {
    /// Whether initiators may log in.
    pub enabled: bool,
    /// Both write protect attributes are 1 (R10).
    pub write_protected: bool,
    /// The node ACLs that somebody made, and which of our TPG's LUN numbers each is mapped to.
    pub acls: BTreeMap<String, BTreeSet<u16>>,
    /// Of these, what an initiator may write to: plain targetcli maps so, whatever the TPG's attributes say (R10).
    pub writable: BTreeSet<AclMapping>,
    /// The initiators that are logged in.
    pub sessions: BTreeSet<String>,
    /// Per LUN number. One that is missing here could not be found out.
    pub traffic: BTreeMap<u16, Traffic>,
}

/// What saveconfig.json holds, of that which we compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every backstore.
    pub backstores: BTreeSet<BackstoreEntry>,
    /// Every LUN.
    pub luns: BTreeSet<LunEntry>,
    /// Every portal and node ACL, by its folder below the configfs root: `iscsi/<iqn>/tpgt_1/np/10.0.0.1:3260`.
    pub others: BTreeSet<String>,
}

impl Inventory {
    /// With all that another one has.
    pub fn extend(&mut self, other: &Inventory) {
        self.backstores.extend(other.backstores.difference(&self.backstores).cloned().collect::<Vec<_>>());
        self.luns.extend(other.luns.difference(&self.luns).cloned().collect::<Vec<_>>());
        self.others.extend(other.others.difference(&self.others).cloned().collect::<Vec<_>>());
    }
}

/// The saved configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Read and understood.
    Readable(Inventory),
    /// There is none.
    Missing,
    /// It cannot be read or understood.
    Unreadable {
        /// Why.
        why: String,
        /// It is a file that was cut off or overwritten: it may be set aside. Else it is a folder, or unreadable.
        torn: bool,
        /// What the newest readable copy in `backup/` holds; empty if there is none.
        backup: Inventory,
    },
}

/// What configfs and saveconfig.json show: the truth that a pass starts and ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actual {
    /// Which TPG is ours.
    pub tpg_path: TpgPath,
    /// Our TPG, if it has been provisioned.
    pub tpg: Option<Tpg>,
    /// Every backstore of the node.
    pub backstores: Vec<Backstore>,
    /// Every LUN of the node.
    pub luns: Vec<LunEntry>,
    /// While there is one, targetcli cannot save; while our TPG has one, it can create no LUN in it.
    pub bare_luns: BTreeSet<BareLun>,
    /// Portals and node ACLs, see [`Inventory::others`].
    pub others: BTreeSet<String>,
    /// What would come back at the next boot.
    pub saved: Saved,
}

impl Actual {
    /// The live state in the form in which it can be compared with the saved one.
    pub fn inventory(&self) -> Inventory {
        Inventory {
            backstores: self.backstores.iter().map(Backstore::entry).collect(),
            luns: self.luns.iter().cloned().collect(),
            others: self.others.clone(),
        }
    }

    /// Name of our target.
    pub fn iqn(&self) -> &str {
        self.tpg_path.target()
    }

    /// Whether the next boot would bring back what is live (R11).
    pub fn is_saved(&self) -> bool {
        matches!(&self.saved, Saved::Readable(saved) if *saved == self.inventory())
    }

    /// Our fileio backstore of this name, or somebody else's.
    pub fn fileio(&self, name: &Word) -> Option<&Backstore> {
        self.backstores.iter().find(|b| b.is_fileio(name.as_str()))
    }

    /// The LUNs of a backstore, in any target.
    pub fn luns_of<'a>(&'a self, backstore: &'a Backstore) -> impl Iterator<Item = &'a LunEntry> {
        self.luns.iter().filter(|lun| lun.plugin == backstore.plugin && lun.name == backstore.name)
    }

    /// The LUNs that lead to the fileio backstore of this name, in any target.
    pub fn luns_of_fileio<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a LunEntry> {
        self.luns.iter().filter(move |lun| lun.leads_to(name))
    }

    /// Whether our TPG has a LUN folder of this number that leads to nothing.
    pub fn is_bare(&self, lun: u16) -> bool {
        self.bare_luns.contains(&BareLun { folder: self.tpg_path.to_string(), lun })
    }

    /// Whether a backstore of this identity's name has a LUN in our TPG.
    pub fn is_projected(&self, identity: &Identity) -> bool {
        self.luns
            .iter()
            .any(|lun| lun.plugin == FILEIO && lun.name == identity.name_str() && lun.tpg == self.tpg_path)
    }

    /// The names of the fileio backstores that have a LUN in our TPG: to be looked up for many images at once.
    pub fn projected_names(&self) -> BTreeSet<&str> {
        let ours = self.luns.iter().filter(|lun| lun.plugin == FILEIO && lun.tpg == self.tpg_path);
        ours.map(|lun| lun.name.as_str()).collect()
    }

    /// The mappings of our TPG's node ACLs through which an initiator can write to a LUN that is one of these (R10).
    pub fn writable_mappings(&self, is_one: impl Fn(&LunEntry) -> bool) -> Vec<&AclMapping> {
        let of_our_tpg =
            |number: u16| self.luns.iter().filter(move |lun| lun.tpg == self.tpg_path && lun.lun == number);
        let writable = self.tpg.iter().flat_map(|tpg| &tpg.writable);
        writable.filter(|mapping| of_our_tpg(mapping.lun).any(&is_one)).collect()
    }

    /// The numbers in use in our TPG, whosever they are.
    pub fn numbers(&self) -> BTreeSet<u16> {
        self.luns.iter().filter(|lun| lun.tpg == self.tpg_path).map(|lun| lun.lun).collect()
    }
}
