//! What configfs and saveconfig.json show.

use super::identity::Identity;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    /// `emulate_model_alias`: whether initiators see its name as the product (FACTS 2.4).
    pub model_alias: bool,
    /// `enable`: its file has been opened. Not so while, or if, its creation hung or was cut short.
    pub enabled: bool,
    /// Inode of its folder in configfs: another one if it was removed and made anew.
    pub inode: u64,
    /// When its file was opened, since boot (`statistics/scsi_lu/creation_time`); `None` if the kernel does not say.
    pub opened: Option<Duration>,
}

/// A LUN in configfs, in any fabric, target and TPG.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LunEntry {
    /// `iscsi/<iqn>/tpgt_1` of whichever target: the TPG's folder below the configfs root.
    pub tpg: String,
    /// LUN number.
    pub lun: u16,
    /// Plugin of its backstore.
    pub plugin: String,
    /// Name of its backstore.
    pub name: String,
}

/// Our TPG, as configfs has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tpg {
    /// Whether initiators may log in.
    pub enabled: bool,
    /// Both write protect attributes are 1 (R10).
    pub write_protected: bool,
    /// The node ACLs that somebody made, and which of our TPG's LUN numbers each is mapped to.
    pub acls: BTreeMap<String, BTreeSet<u16>>,
    /// Of these, what an initiator may write to: plain targetcli maps so, whatever the TPG's attributes say (R10).
    pub writable: BTreeSet<(String, u16)>,
}

/// What saveconfig.json holds, of that which we compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every backstore: plugin, name, file and serial.
    pub backstores: BTreeSet<(String, String, String, String)>,
    /// Every LUN.
    pub luns: BTreeSet<LunEntry>,
    /// Every portal and node ACL, by its folder below the configfs root: `iscsi/<iqn>/tpgt_1/np/10.0.0.1:3260`.
    pub others: BTreeSet<String>,
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
    /// Our TPG's folder below the configfs root, `iscsi/<iqn>/tpgt_1`.
    pub tpg_path: String,
    /// Our TPG, if it has been provisioned.
    pub tpg: Option<Tpg>,
    /// Every backstore of the node.
    pub backstores: Vec<Backstore>,
    /// Every LUN of the node.
    pub luns: Vec<LunEntry>,
    /// LUN folders that lead to no backstore: the folder of the TPG, or of its ACL, and the number. While there is one,
    /// targetcli cannot save; while our TPG has one, it can create no LUN in it.
    pub bare_luns: BTreeSet<(String, u16)>,
    /// Portals and node ACLs, see [`Inventory::others`].
    pub others: BTreeSet<String>,
    /// What would come back at the next boot.
    pub saved: Saved,
}

impl Actual {
    /// The live state in the form in which it can be compared with the saved one.
    pub fn inventory(&self) -> Inventory {
        let whole = |b: &Backstore| (b.plugin.clone(), b.name.clone(), b.file.clone(), b.serial.clone());
        Inventory {
            backstores: self.backstores.iter().map(whole).collect(),
            luns: self.luns.iter().cloned().collect(),
            others: self.others.clone(),
        }
    }

    /// Name of our target.
    pub fn iqn(&self) -> &str {
        self.tpg_path.split('/').nth(1).unwrap_or_default()
    }

    /// Whether the next boot would bring back what is live (R11).
    pub fn is_saved(&self) -> bool {
        matches!(&self.saved, Saved::Readable(saved) if *saved == self.inventory())
    }

    /// The LUNs of a backstore, in any target.
    pub fn luns_of<'a>(&'a self, plugin: &'a str, name: &'a str) -> impl Iterator<Item = &'a LunEntry> {
        self.luns.iter().filter(move |lun| lun.plugin == plugin && lun.name == name)
    }

    /// Whether our TPG has a LUN folder of this number that leads to nothing.
    pub fn is_bare(&self, lun: u16) -> bool {
        self.bare_luns.contains(&(self.tpg_path.clone(), lun))
    }

    /// Whether a backstore of this identity's name has a LUN in our TPG.
    pub fn is_projected(&self, identity: &Identity) -> bool {
        self.luns_of("fileio", identity.name().as_str()).any(|lun| lun.tpg == self.tpg_path)
    }

    /// The numbers in use in our TPG, whosever they are.
    pub fn numbers(&self) -> BTreeSet<u16> {
        self.luns.iter().filter(|lun| lun.tpg == self.tpg_path).map(|lun| lun.lun).collect()
    }
}
