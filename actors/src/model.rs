//! The words everyone uses: plain values, no behaviour beyond making and showing them.

use crate::identity::Identity;
use crate::word::Word;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Key of an S3 object. Untrusted: whoever may write to the bucket chooses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Takes any text.
    pub fn new(key: impl Into<String>) -> Self {
        ObjectKey(key.into())
    }

    /// The key as S3 has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// First path segment: of `<image id>/rootfs` the image id.
    pub fn folder(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// ETag of an S3 object, without its quotes; `...-131` when it was uploaded in 131 parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Etag(String);

impl Etag {
    /// Takes the header's or the listing's form, quotes or not.
    pub fn new(raw: &str) -> Self {
        Etag(raw.trim_matches('"').to_owned())
    }

    /// The bare tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Bytes.
    pub size: u64,
    /// Changes whenever the content does.
    pub etag: Etag,
    /// When it was written, by S3, since 1970; zero if S3 does not say.
    pub modified: Duration,
}

/// The relevant part of a complete listing of the boot bucket.
pub type ObjectIndex = BTreeMap<ObjectKey, ObjectMeta>;

/// Which keys of the bucket a pass needs: memory grows with this, not with the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relevant {
    /// Everything that starts so (`PE/`).
    pub prefix: String,
    /// Everything whose first path segment is one of these (ids of tagged images).
    pub folders: BTreeSet<String>,
    /// And these (files of live backstores, artifacts that manifests name).
    pub keys: BTreeSet<ObjectKey>,
}

impl Relevant {
    /// Whether a listing keeps this key.
    pub fn wants(&self, key: &str) -> bool {
        let folder = key.split('/').next().unwrap_or_default();
        (!self.prefix.is_empty() && key.starts_with(&self.prefix))
            || self.folders.contains(folder)
            || self.keys.contains(&ObjectKey::new(key))
    }
}

/// `s3://bucket/key`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Path {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: ObjectKey,
}

impl S3Path {
    /// `None` unless it is `s3://`, a bucket, `/`, and a key.
    pub fn parse(path: &str) -> Option<Self> {
        let (bucket, key) = path.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty())
            .then(|| S3Path { bucket: bucket.to_owned(), key: ObjectKey::new(key) })
    }
}

/// A party whose answer a pass needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The image management service.
    Ims,
    /// The boot bucket.
    S3,
    /// The s3fs mount.
    Mount,
    /// Linux LIO: configfs and targetclid.
    Lio,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Ims => "ims",
            Source::S3 => "s3",
            Source::Mount => "mount",
            Source::Lio => "lio",
        })
    }
}

/// Why something is not known. An error is never an empty answer (R2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {kind}: {detail}")]
pub struct Cause {
    /// Who did not answer.
    pub source_name: Source,
    /// Short and from a bounded set: usable as a metric label.
    pub kind: &'static str,
    /// The whole chain of errors, for a person.
    pub detail: String,
}

impl Cause {
    /// Of an error of a port: its bounded kind and its chain, one cause after the other.
    pub fn new(source_name: Source, kind: &'static str, error: &dyn std::error::Error) -> Self {
        let mut detail = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            detail = format!("{detail}: {cause}");
            next = cause.source();
        }
        Cause { source_name, kind, detail }
    }
}

/// What a source answers: a list that may be acted on, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot<T> {
    /// A complete answer.
    Known(T),
    /// No answer. Not the same as an empty one.
    Unknown(Cause),
}

impl<T> Snapshot<T> {
    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Snapshot::Known(value) => Some(value),
            Snapshot::Unknown(_) => None,
        }
    }

    /// The cause, if there is no answer.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Snapshot::Known(_) => None,
            Snapshot::Unknown(cause) => Some(cause),
        }
    }
}

/// The two kinds of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Root file system of an IMS image.
    Rootfs,
    /// Programming Environment image.
    Pe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rootfs => "rootfs",
            Kind::Pe => "pe",
        })
    }
}

/// An image that is, or should be, a LUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Its kind.
    pub kind: Kind,
    /// What an operator calls it: the IMS image id, or the PE key.
    pub label: String,
    /// Who it is to initiators.
    pub identity: Identity,
    /// Its object.
    pub key: ObjectKey,
    /// Its file under the mount.
    pub file: Word,
    /// Bytes, as S3 lists it.
    pub size: u64,
    /// What it holds, as S3 lists it.
    pub etag: Etag,
    /// When it was written, as S3 lists it: since 1970.
    pub modified: Duration,
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

/// One command to LIO. Made of words only (R9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The daemon reads the tree anew: another hand has changed it (FACTS 2.9).
    Refresh,
    /// Takes a LUN out of our TPG.
    DeleteLun {
        /// Its number.
        lun: u16,
        /// The backstore it must still lead to.
        name: Word,
    },
    /// Removes a fileio backstore that has no LUN any more.
    DeleteBackstore {
        /// Its name.
        name: Word,
        /// The unit serial it must still have.
        wwn: Word,
    },
    /// Makes a fileio backstore. Never with a size: that would create a missing file (FACTS 2.5).
    CreateBackstore {
        /// Its name.
        name: Word,
        /// Its file.
        file: Word,
        /// Its unit serial.
        wwn: Word,
    },
    /// Sets `emulate_model_alias=1`; only possible before the LUN (FACTS 2.4).
    AliasModel {
        /// The backstore's name.
        name: Word,
    },
    /// Adds a LUN to our TPG.
    CreateLun {
        /// Its number.
        lun: u16,
        /// The backstore's name.
        name: Word,
        /// Whether the TPG's node ACLs get it as well, under the same number, as plain targetcli would do.
        map_to_acls: bool,
    },
    /// Removes a fileio backstore whose creation was cut short: not enabled, no serial, no LUN.
    DiscardBackstore {
        /// Its name.
        name: Word,
        /// The file it must have, if it has one yet.
        file: Word,
    },
    /// Removes a LUN folder of our TPG that leads to nothing.
    DiscardLun {
        /// Its number.
        lun: u16,
    },
    /// Renames a torn saveconfig.json to `saveconfig.json.torn-<seconds since 1970>`; targetclid is not asked.
    SetAside,
    /// Writes saveconfig.json; targetcli first keeps a copy of the old one, 10 at most.
    SaveConfig,
    /// The same without the copy. Where no plain `targetcli` has ever run, targetclid has no `max_backup_files` and
    /// the copying fails: every save but the very first.
    SaveConfigAlone,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Refresh => f.write_str("refresh"),
            Step::DeleteLun { lun, .. } => write!(f, "delete LUN {lun}"),
            Step::DeleteBackstore { name, .. } => write!(f, "delete backstore {name}"),
            Step::CreateBackstore { name, file, .. } => write!(f, "create backstore {name} on {file}"),
            Step::AliasModel { name } => write!(f, "set emulate_model_alias of {name}"),
            Step::CreateLun { lun, name, .. } => write!(f, "create LUN {lun} for {name}"),
            Step::DiscardBackstore { name, .. } => write!(f, "discard half-made backstore {name}"),
            Step::DiscardLun { lun } => write!(f, "discard half-made LUN {lun}"),
            Step::SetAside => f.write_str("set the torn saveconfig.json aside"),
            Step::SaveConfig => f.write_str("saveconfig"),
            Step::SaveConfigAlone => f.write_str("saveconfig without a backup"),
        }
    }
}
