//! LIO's state as the kernel shows it: every backstore, every LUN, our TPG.
//!
//! Other tools change the tree while it is read, so an entry may vanish between its listing and its reading: then it
//! is gone. Anything else that cannot be read is an error, never a shorter list (R2).

use actors::model::{Backstore, LunEntry, Tpg};
use actors::ports::LioError;
use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// Folder of the backstores; its neighbours are the fabrics.
const CORE: &str = "core";

/// The target's configfs tree.
#[derive(Clone, Debug)]
pub struct Configfs {
    root: PathBuf,
}

impl Configfs {
    /// `/sys/kernel/config/target`, or a copy of it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Configfs { root: root.into() }
    }

    /// The folder of saveconfig.json: the distribution's choice, which rtslib tells the kernel (FACTS 1.4).
    pub fn dbroot(&self) -> Result<PathBuf, LioError> {
        read(&self.dbroot_file()).map(PathBuf::from)
    }

    /// The file that names it.
    pub fn dbroot_file(&self) -> PathBuf {
        self.root.join("dbroot")
    }

    /// Every backstore, sorted.
    pub fn backstores(&self) -> Result<Vec<Backstore>, LioError> {
        let mut found = Vec::new();
        for (plugin, hba) in self.hbas()? {
            for name in present(list(&hba, FileType::is_dir))?.unwrap_or_default() {
                found.extend(backstore(&plugin, &hba, &name)?);
            }
        }
        found.sort_by(|a, b| (&a.plugin, &a.name).cmp(&(&b.plugin, &b.name)));
        Ok(found)
    }

    /// One fileio backstore; `None` if there is none of this name.
    pub fn fileio(&self, name: &str) -> Result<Option<Backstore>, LioError> {
        for (plugin, hba) in self.hbas()? {
            // Each of the others would answer every one of its files with "not found": it is asked once.
            if plugin == "fileio"
                && present(at(&hba.join(name), |folder| fs::metadata(folder)))?.is_some()
                && let Some(found) = backstore(&plugin, &hba, name)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Every LUN, of every fabric, sorted. What a fabric has beside targets and TPGs has no such folders.
    pub fn luns(&self) -> Result<Vec<LunEntry>, LioError> {
        let mut found = Vec::new();
        for fabric in list(&self.root, FileType::is_dir)?.into_iter().filter(|name| name != CORE) {
            for wwn in self.folders(&fabric)? {
                let target = format!("{fabric}/{wwn}");
                for tpg in self.folders(&target)?.into_iter().filter(|name| name.starts_with("tpgt_")) {
                    self.luns_of(&format!("{target}/{tpg}"), &mut found)?;
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// One LUN of the TPG whose folder this is; `None` if there is none of this number, or it leads nowhere yet.
    pub fn lun(&self, tpg: &str, lun: u16) -> Result<Option<LunEntry>, LioError> {
        let folder = self.root.join(format!("{tpg}/lun/lun_{lun}"));
        for link in present(list(&folder, FileType::is_symlink))?.unwrap_or_default() {
            let target = present(at(&folder.join(link), |link| fs::read_link(link)))?;
            if let Some((plugin, name)) = target.as_deref().and_then(named) {
                return Ok(Some(LunEntry { tpg: tpg.to_owned(), lun, plugin, name }));
            }
        }
        Ok(None)
    }

    /// The TPG whose folder this is; `None` if it has not been provisioned.
    pub fn tpg(&self, folder: &str) -> Result<Option<Tpg>, LioError> {
        let tpg = self.root.join(folder);
        let is_on = |attribute: &str| flag(&tpg.join(attribute));
        let Some(enabled) = is_on("enable")? else { return Ok(None) };
        let protected = |mode| is_on(mode).map(|on| on == Some(true));
        let write_protected =
            protected("attrib/demo_mode_write_protect")? && protected("attrib/prod_mode_write_protect")?;
        Ok(Some(Tpg { enabled, write_protected, acls: BTreeMap::new() }))
    }

    /// Each backstore has a folder of its own, `fileio_3`, which says of which plugin it is.
    fn hbas(&self) -> Result<Vec<(String, PathBuf)>, LioError> {
        let core = self.root.join(CORE);
        let hbas = list(&core, FileType::is_dir)?;
        Ok(hbas.iter().filter_map(|hba| Some((plugin(hba)?, core.join(hba)))).collect())
    }

    fn luns_of(&self, tpg: &str, found: &mut Vec<LunEntry>) -> Result<(), LioError> {
        let luns = format!("{tpg}/lun");
        for folder in self.folders(&luns)? {
            // Nobody's tool makes a number above 65535.
            if let Some(lun) = folder.strip_prefix("lun_").and_then(|n| n.parse().ok()) {
                found.extend(self.lun(tpg, lun)?);
            }
        }
        Ok(())
    }

    /// The folders in this one, which may vanish.
    fn folders(&self, folder: &str) -> Result<Vec<String>, LioError> {
        present(list(&self.root.join(folder), FileType::is_dir)).map(Option::unwrap_or_default)
    }
}

/// `None` if it is gone. Not every plugin has every file.
fn backstore(plugin: &str, hba: &Path, name: &str) -> Result<Option<Backstore>, LioError> {
    let folder = hba.join(name);
    let file = |file: &str| present(read(&folder.join(file)));
    let serial = file("wwn/vpd_unit_serial")?.unwrap_or_default();
    let serial = match plugin {
        // That of the device behind it, which is not LIO's to save: saveconfig.json has none.
        "pscsi" => String::new(),
        // `T10 VPD Unit Serial Number: 8b04c5169aa0b0b31adaa346eae9c98`
        _ => serial.split_once(':').map(|(_, serial)| serial.trim().to_owned()).unwrap_or_default(),
    };
    let found = Backstore {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        file: file("udev_path")?.unwrap_or_default(),
        serial,
        size: file("info")?.as_deref().and_then(size).unwrap_or_default(),
        model_alias: flag(&folder.join("attrib/emulate_model_alias"))?.unwrap_or_default(),
        enabled: true,
        inode: 0,
        opened: None,
    };
    // What was read is of a backstore only if it was there to the end.
    Ok(present(at(&folder, |folder| fs::metadata(folder)))?.map(|_| found))
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

/// `../../../../../../target/core/fileio_2/NAME` -> (`fileio`, `NAME`).
fn named(link: &Path) -> Option<(String, String)> {
    let name = link.file_name()?.to_string_lossy().into_owned();
    let hba = link.parent()?;
    if !hba.parent()?.ends_with(CORE) {
        return None;
    }
    Some((plugin(&hba.file_name()?.to_string_lossy())?, name))
}

/// `... File: /some/path  Size: 8192  Mode: O_DSYNC ...`: the last one, as the path may say anything.
fn size(info: &str) -> Option<u64> {
    let (_, after) = info.rsplit_once(" Size: ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// An attribute that is `0` or `1`.
fn flag(path: &Path) -> Result<Option<bool>, LioError> {
    Ok(present(read(path))?.map(|text| text == "1"))
}

/// The text of a file, without the blanks around it. Foreign paths may be anything, so no encoding is an error.
fn read(path: &Path) -> Result<String, LioError> {
    let bytes = at(path, |path| fs::read(path))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The names of the entries of this type.
fn list(folder: &Path, wanted: fn(&FileType) -> bool) -> Result<Vec<String>, LioError> {
    let mut names = Vec::new();
    for entry in at(folder, |folder| fs::read_dir(folder))? {
        let entry = at(folder, |_| entry)?;
        if present(at(&entry.path(), |_| entry.file_type()))?.is_some_and(|kind| wanted(&kind)) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Gone is `None`; any other error stays one.
fn present<T>(found: Result<T, LioError>) -> Result<Option<T>, LioError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(LioError::Configfs { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says where an operation failed.
fn at<T>(path: &Path, operation: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, LioError> {
    operation(path).map_err(|source| LioError::Configfs { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::configfs::Tree;

    fn grown(tree: &Tree) -> (tempfile::TempDir, Configfs) {
        let folder = tempfile::tempdir().unwrap();
        tree.grow(folder.path());
        let configfs = Configfs::new(folder.path());
        (folder, configfs)
    }

    #[test]
    fn a_recorded_tree_shows_its_backstores_its_luns_and_its_tpg() {
        let (_folder, configfs) = grown(&Tree::recorded());
        let backstores = configfs.backstores().unwrap();
        assert_eq!(backstores.len(), 3);
        assert_eq!(
            backstores[0],
            Backstore {
                plugin: "fileio".into(),
                name: "aaaa00000000001".into(),
                file: "/var/lib/cps-local/boot-images/PE/a.squashfs".into(),
                serial: "0000000000000000000000000000001".into(),
                size: 8192,
                model_alias: true,
                enabled: true,
                inode: 0,
                opened: None,
            }
        );
        let luns = configfs.luns().unwrap();
        assert_eq!(luns.iter().map(|lun| lun.lun).collect::<Vec<_>>(), [300, 301, 302]);
        assert_eq!(luns[2].tpg, "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1");
        assert_eq!((luns[2].plugin.as_str(), luns[2].name.as_str()), ("fileio", "rootfs000000003"));
        assert_eq!(
            configfs.tpg("iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1").unwrap(),
            Some(Tpg { enabled: true, write_protected: true, acls: BTreeMap::new() })
        );
        assert_eq!(configfs.dbroot().unwrap(), Path::new("/etc/rtslib-fb-target"));
    }

    #[test]
    fn one_backstore_is_found_by_its_name_and_an_unknown_one_is_none() {
        let (_folder, configfs) = grown(&Tree::recorded());
        assert_eq!(configfs.fileio("link00000000002").unwrap().unwrap().size, 529);
        assert_eq!(configfs.fileio("nope").unwrap(), None);
    }

    #[test]
    fn r10_a_tpg_is_write_protected_only_if_both_attributes_say_so() {
        let tpg = "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1";
        for attribute in ["demo_mode_write_protect", "prod_mode_write_protect"] {
            let tree = Tree::recorded().with(&format!("{tpg}/attrib/{attribute}"), "0\n");
            let (_folder, configfs) = grown(&tree);
            assert!(!configfs.tpg(tpg).unwrap().unwrap().write_protected);
        }
    }

    #[test]
    fn a_tpg_that_was_never_made_is_none() {
        let (_folder, configfs) = grown(&Tree::recorded());
        assert_eq!(configfs.tpg("iscsi/iqn.other/tpgt_1").unwrap(), None);
    }

    #[test]
    fn backstores_of_other_plugins_keep_the_names_of_targetcli_and_what_their_files_say() {
        let tree = Tree::default()
            .with("core/alua/lu_gps/default_lu_gp/lu_gp_id", "0\n")
            .with("core/iblock_0/disk/udev_path", "/dev/sdb\n")
            .with("core/iblock_0/disk/info", "Status: ACTIVATED  SectorSize: 512  HwMaxSectors: 1\n")
            .with("core/iblock_0/disk/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: abc\n")
            .with("core/pscsi_2/tape/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: XYZ\n")
            .with("core/rd_mcp_1/ram/udev_path", "")
            .with("core/user_3/glfs/info", "Status: ACTIVATED\n  Config: glfs/a Size: 1024  Mb: 1\n");
        let (_folder, configfs) = grown(&tree);
        let found = configfs.backstores().unwrap();
        let seen: Vec<_> = found.iter().map(|b| (b.plugin.as_str(), b.serial.as_str(), b.size)).collect();
        assert_eq!(seen, [("block", "abc", 0), ("pscsi", "", 0), ("ramdisk", "", 0), ("user", "", 1024)]);
    }

    #[test]
    fn luns_of_every_fabric_are_found_and_half_made_ones_are_not() {
        let tree = Tree::default()
            .with("core/fileio_0/a/enable", "1\n")
            .with("iscsi/discovery_auth/userid", "\n")
            .with("iscsi/iqn.x/tpgt_2/lun/lun_7/alua_tg_pt_gp", "")
            .with("iscsi/iqn.x/tpgt_2/acls/iqn.i/lun_0/mapped", "-> ../../../lun/lun_7")
            .with("loopback/naa.1/tpgt_1/lun/lun_0/virtual", "-> ../../../../../../target/core/fileio_0/a");
        let (_folder, configfs) = grown(&tree);
        let luns = configfs.luns().unwrap();
        let only = LunEntry {
            tpg: "loopback/naa.1/tpgt_1".into(),
            lun: 0,
            plugin: "fileio".into(),
            name: "a".into(),
        };
        assert_eq!(luns, [only]);
    }

    #[test]
    fn r2_a_tree_that_is_not_there_is_an_error_and_not_an_empty_one() {
        let configfs = Configfs::new("/nowhere/target");
        assert!(matches!(configfs.backstores(), Err(LioError::Configfs { .. })));
        assert!(matches!(configfs.luns(), Err(LioError::Configfs { .. })));
    }

    #[test]
    fn r2_an_entry_that_cannot_be_read_is_an_error_and_not_a_missing_one() {
        // A folder in the place of the file: as unreadable as it gets where the tests run as root.
        let tree = Tree::default().with("core/fileio_0/a/udev_path/oops", "");
        let (_folder, configfs) = grown(&tree);
        assert!(matches!(configfs.backstores(), Err(LioError::Configfs { .. })));
    }
}
