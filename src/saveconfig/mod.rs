//! saveconfig.json: what the node will have after its next boot.

mod backup;

use actors::model::{BackstoreEntry, Inventory, LunEntry, Saved, TpgPath};
use actors::ports::LioError;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Its name in the folder that `dbroot` names.
pub const FILE_NAME: &str = "saveconfig.json";
/// Bytes; 16383 LUNs are saved in less.
const LARGEST: u64 = 64 << 20;

/// Reads it. Whatever is wrong with it is an answer and not an error: it never stops a pass (R11).
pub fn read(path: &Path) -> Saved {
    match load(path) {
        Ok(file) => Saved::Readable(file.inventory()),
        Err(Trouble::Read(error)) if error.kind() == io::ErrorKind::NotFound => Saved::Missing,
        Err(trouble) => Saved::Unreadable {
            why: format!("{} {trouble}", path.display()),
            torn: matches!(trouble, Trouble::Content(_)),
            backup: backup::newest(path),
        },
    }
}

/// Renames a torn file to `<name>.torn-<seconds since 1970>`, which comes back. Refuses to do that to any other, and
/// never writes over a file.
pub fn set_aside(path: &Path) -> Result<PathBuf, LioError> {
    let done = || {
        // Somebody else may have saved since it was looked at.
        match load(path) {
            Err(Trouble::Content(_)) => {}
            Err(Trouble::Read(error)) => return Err(error),
            Err(Trouble::NoFile | Trouble::TooLarge | Trouble::Odd(_)) | Ok(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not torn"));
            }
        }
        let seconds =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".torn-{seconds}"));
        renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE)?;
        Ok(PathBuf::from(aside))
    };
    done().map_err(|source| LioError::Configfs { path: path.display().to_string(), source })
}

fn load(path: &Path) -> Result<SaveFile, Trouble> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(Trouble::NoFile);
    }
    parse(File::open(path)?)
}

fn parse(from: impl Read) -> Result<SaveFile, Trouble> {
    let bytes = backup::bounded(from)?;
    // What has this shape was written whole, by a version that may say more than is known here.
    let Shape { .. } = serde_json::from_slice(&bytes).map_err(Trouble::Content)?;
    serde_json::from_slice(&bytes).map_err(Trouble::Odd)
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is not a regular file")]
    NoFile,
    #[error("has more than {LARGEST} bytes")]
    TooLarge,
    #[error("is torn or not a saved configuration: {0}")]
    Content(#[source] serde_json::Error),
    #[error("is not understood: {0}")]
    Odd(#[source] serde_json::Error),
}

/// What every saved configuration is.
#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "storage_objects")]
    _storage_objects: Vec<IgnoredAny>,
    #[serde(rename = "targets")]
    _targets: Vec<IgnoredAny>,
}

/// Of rtslib's format, that which we compare.
#[derive(Debug, Deserialize)]
struct SaveFile {
    storage_objects: Vec<StorageObject>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct StorageObject {
    plugin: String,
    name: String,
    /// Not of a ramdisk.
    dev: Option<String>,
    /// Not of a passed-through device.
    wwn: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    fabric: String,
    wwn: String,
    #[serde(default)]
    tpgs: Vec<Tpg>,
}

#[derive(Debug, Deserialize)]
struct Tpg {
    tag: u16,
    #[serde(default)]
    luns: Vec<Lun>,
    #[serde(default)]
    portals: Vec<Portal>,
    #[serde(default)]
    node_acls: Vec<NodeAcl>,
}

#[derive(Debug, Deserialize)]
struct Portal {
    /// IPv6 in brackets.
    ip_address: String,
    port: u16,
}

#[derive(Debug, Deserialize)]
struct NodeAcl {
    node_wwn: String,
}

#[derive(Debug, Deserialize)]
struct Lun {
    index: u16,
    /// `/backstores/fileio/NAME`
    storage_object: String,
}

impl SaveFile {
    /// In the words of configfs.
    fn inventory(self) -> Inventory {
        let backstore = |so: StorageObject| BackstoreEntry {
            plugin: so.plugin,
            name: so.name,
            file: so.dev.unwrap_or_default(),
            serial: so.wwn.unwrap_or_default(),
        };
        let mut found = Inventory {
            backstores: self.storage_objects.into_iter().map(backstore).collect(),
            ..Inventory::default()
        };
        for target in self.targets {
            let folder =
                format!("{}/{}", fabric_folder(&target.fabric), wwn_folder(&target.fabric, &target.wwn));
            for tpg in target.tpgs {
                tpg.add_to(&mut found, &target.fabric, &TpgPath::new(format!("{folder}/tpgt_{}", tpg.tag)));
            }
        }
        found
    }
}

impl Tpg {
    fn add_to(&self, found: &mut Inventory, fabric: &str, tpg: &TpgPath) {
        for lun in &self.luns {
            let (rest, name) = lun.storage_object.rsplit_once('/').unwrap_or_default();
            let plugin = rest.rsplit_once('/').map_or(rest, |(_, plugin)| plugin);
            let (plugin, name) = (plugin.to_owned(), name.to_owned());
            found.luns.insert(LunEntry { tpg: tpg.clone(), lun: lun.index, plugin, name });
        }
        let portals =
            self.portals.iter().map(|portal| format!("{tpg}/np/{}:{}", portal.ip_address, portal.port));
        let acls =
            self.node_acls.iter().map(|acl| format!("{tpg}/acls/{}", wwn_folder(fabric, &acl.node_wwn)));
        found.others.extend(portals.chain(acls));
    }
}

/// The folder of a fabric below the configfs root.
fn fabric_folder(fabric: &str) -> &str {
    if fabric == "tcm_fc" { "fc" } else { fabric }
}

/// The folder of a target or an initiator. rtslib writes the names of some fabrics in its own way; a node that has one
/// of those must not look unsaved for ever.
fn wwn_folder(fabric: &str, wwn: &str) -> String {
    let bare = wwn.split_once('.').map_or(wwn, |(_, bare)| bare);
    match fabric {
        "sbp" => bare.to_owned(),
        "srpt" => format!("0x{bare}"),
        "qla2xxx" | "efct" | "tcm_fc" => with_colons(bare),
        _ => wwn.to_owned(),
    }
}

/// `2100000e1e` -> `21:00:00:0e:1e`.
fn with_colons(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(":")
}

/// Understood or unreadable, whatever is in it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(file) = parse(bytes) {
        drop(file.inventory());
    }
}

#[cfg(test)]
mod tests;
