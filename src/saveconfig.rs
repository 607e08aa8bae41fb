//! saveconfig.json: what the node will have after its next boot.

use actors::model::{Inventory, LunEntry, Saved};
use serde::Deserialize;
use std::io;
use std::path::Path;

/// Its name in the folder that `dbroot` names.
pub const FILE_NAME: &str = "saveconfig.json";

/// Reads it. Whatever is wrong with it is an answer and not an error: it never stops a pass (R11).
pub fn read(path: &Path) -> Saved {
    match load(path) {
        Ok(file) => Saved::Readable(file.inventory()),
        Err(Trouble::Read(error)) if error.kind() == io::ErrorKind::NotFound => Saved::Missing,
        Err(trouble) => Saved::Unreadable {
            why: format!("{} {trouble}", path.display()),
            torn: matches!(trouble, Trouble::Content(_)),
            backup: Inventory::default(),
        },
    }
}

fn load(path: &Path) -> Result<SaveFile, Trouble> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Trouble::NoFile);
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is not a regular file")]
    NoFile,
    #[error("is torn or not a saved configuration: {0}")]
    Content(#[from] serde_json::Error),
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
        let backstore =
            |so: StorageObject| (so.plugin, so.name, so.dev.unwrap_or_default(), so.wwn.unwrap_or_default());
        Inventory {
            backstores: self.storage_objects.into_iter().map(backstore).collect(),
            luns: self.targets.into_iter().flat_map(Target::luns).collect(),
            others: Default::default(),
        }
    }
}

impl Target {
    fn luns(self) -> impl Iterator<Item = LunEntry> {
        let folder = folder(&self.fabric, &self.wwn);
        self.tpgs.into_iter().flat_map(move |tpg| {
            let tpg_path = format!("{folder}/tpgt_{}", tpg.tag);
            tpg.luns.into_iter().map(move |lun| {
                let (rest, name) = lun.storage_object.rsplit_once('/').unwrap_or_default();
                let plugin = rest.rsplit_once('/').map_or(rest, |(_, plugin)| plugin);
                LunEntry {
                    tpg: tpg_path.clone(),
                    lun: lun.index,
                    plugin: plugin.to_owned(),
                    name: name.to_owned(),
                }
            })
        })
    }
}

/// The target's folder below the configfs root. rtslib writes the names of some fabrics' targets in its own way; a
/// node that has one of those must not look unsaved for ever.
fn folder(fabric: &str, wwn: &str) -> String {
    let bare = wwn.split_once('.').map_or(wwn, |(_, bare)| bare);
    match fabric {
        "sbp" => format!("sbp/{bare}"),
        "srpt" => format!("srpt/0x{bare}"),
        "qla2xxx" | "efct" => format!("{fabric}/{}", with_colons(bare)),
        "tcm_fc" => format!("fc/{}", with_colons(bare)),
        _ => format!("{fabric}/{wwn}"),
    }
}

/// `2100000e1e` -> `21:00:00:0e:1e`.
fn with_colons(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configfs::Configfs;
    use actors::model::Actual;
    use std::fs;
    use support::configfs::Tree;

    const PREDECESSOR: &str = include_str!("../fixtures/saveconfig-predecessor.json");

    fn read_text(text: &str) -> Saved {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, text).unwrap();
        read(&path)
    }

    fn readable(text: &str) -> Inventory {
        match read_text(text) {
            Saved::Readable(inventory) => inventory,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_predecessors_file_is_understood() {
        let saved = readable(PREDECESSOR);
        assert_eq!((saved.backstores.len(), saved.luns.len()), (13, 13));
        assert!(saved.backstores.contains(&(
            "fileio".into(),
            "8b04c5169aa0b0b".into(),
            "/var/lib/cps-local/boot-images/c83a23e9-7d7a-4ff0-80be-fa74bdc15578/rootfs".into(),
            "8b04c5169aa0b0b31adaa346eae9c98".into(),
        )));
        assert!(saved.luns.contains(&LunEntry {
            tpg: "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1".into(),
            lun: 12,
            plugin: "fileio".into(),
            name: "8b04c5169aa0b0b".into(),
        }));
    }

    #[test]
    fn r11_a_node_that_shows_what_its_file_says_is_saved() {
        let saved = readable(PREDECESSOR);
        let folder = tempfile::tempdir().unwrap();
        restored(&saved).grow(folder.path());
        let configfs = Configfs::new(folder.path());
        let live = Actual {
            tpg_path: "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1".into(),
            tpg: None,
            backstores: configfs.backstores().unwrap(),
            luns: configfs.luns().unwrap(),
            bare_luns: Default::default(),
            others: Default::default(),
            saved: Saved::Missing,
        };
        assert_eq!(live.inventory(), saved);
    }

    /// The tree that the kernel has after this inventory was restored.
    fn restored(saved: &Inventory) -> Tree {
        let mut tree = Tree::default();
        for (index, (plugin, name, file, serial)) in saved.backstores.iter().enumerate() {
            let hba = format!("core/{plugin}_{index}/{name}");
            tree = tree.with(&format!("{hba}/udev_path"), &format!("{file}\n")).with(
                &format!("{hba}/wwn/vpd_unit_serial"),
                &format!("T10 VPD Unit Serial Number: {serial}\n"),
            );
            for lun in saved.luns.iter().filter(|lun| lun.name == *name) {
                let link = format!("{}/lun/lun_{}/0123456789", lun.tpg, lun.lun);
                tree = tree.with(&link, &format!("-> ../../../../../../target/{hba}"));
            }
        }
        tree
    }

    #[test]
    fn r11_a_file_that_is_not_there_is_missing() {
        assert_eq!(read(Path::new("/nowhere/saveconfig.json")), Saved::Missing);
    }

    #[test]
    fn r11_a_torn_file_an_empty_one_and_a_folder_are_unreadable_for_a_reason() {
        let torn = &PREDECESSOR[..PREDECESSOR.len() / 2];
        for text in [torn, "", "[]", "{}"] {
            let Saved::Unreadable { why: reason, .. } = read_text(text) else {
                panic!("{text:?} was understood")
            };
            assert!(reason.contains("is torn or not a saved configuration"), "{reason}");
        }
        let folder = tempfile::tempdir().unwrap();
        let Saved::Unreadable { why: reason, .. } = read(folder.path()) else {
            panic!("a folder was understood")
        };
        assert!(reason.ends_with("is not a regular file"), "{reason}");
    }

    #[test]
    fn targets_of_other_fabrics_have_the_names_of_their_folders() {
        assert_eq!(folder("iscsi", "iqn.a:b"), "iscsi/iqn.a:b");
        assert_eq!(folder("loopback", "naa.50014"), "loopback/naa.50014");
        assert_eq!(folder("qla2xxx", "naa.2100000e1e"), "qla2xxx/21:00:00:0e:1e");
        assert_eq!(folder("tcm_fc", "naa.2100"), "fc/21:00");
        assert_eq!(folder("srpt", "ib.fe80"), "srpt/0xfe80");
        assert_eq!(folder("sbp", "eui.0011"), "sbp/0011");
    }
}
