//! LIO as the kernel shows it, in a folder: the truth that every tool works on, and that each of them remembers in
//! its own way.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A node's configfs with one target.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
    tpg: String,
}

/// A fileio backstore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Of its HBA.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its unit serial.
    pub wwn: String,
    /// Bytes.
    pub size: u64,
    /// Whether the kernel has opened the file.
    pub enabled: bool,
    /// Initiators see its name as the product.
    pub alias: bool,
}

impl Kernel {
    pub(super) fn new(root: &Path, iqn: &str, tpg: u16, dbroot: &str) -> Self {
        let kernel = Kernel { root: root.to_owned(), tpg: format!("iscsi/{iqn}/tpgt_{tpg}") };
        for (path, content) in [
            ("dbroot".to_owned(), format!("{dbroot}\n")),
            (format!("{}/enable", kernel.tpg), "1\n".into()),
            (format!("{}/attrib/demo_mode_write_protect", kernel.tpg), "1\n".into()),
            (format!("{}/attrib/prod_mode_write_protect", kernel.tpg), "1\n".into()),
        ] {
            write(&kernel.root.join(path), &content);
        }
        for folder in ["core".to_owned(), format!("{}/lun", kernel.tpg), format!("{}/acls", kernel.tpg)] {
            fs::create_dir_all(kernel.root.join(folder)).expect("the scratch folder takes folders");
        }
        kernel
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every fileio backstore, by the index of its HBA.
    pub fn stores(&self) -> Vec<Store> {
        let mut found = Vec::new();
        for hba in names(&self.root.join("core")) {
            let Some(index) = hba.strip_prefix("fileio_").and_then(|index| index.parse().ok()) else {
                continue;
            };
            let folder = self.root.join("core").join(&hba);
            found.extend(names(&folder).into_iter().map(|name| store(&folder, index, name)));
        }
        found.sort_by_key(|store| store.index);
        found
    }

    /// The backstore of this name.
    pub fn store(&self, name: &str) -> Option<Store> {
        self.stores().into_iter().find(|store| store.name == name)
    }

    /// Every LUN folder with the backstore that it leads to; a bare one leads to none.
    pub fn luns(&self) -> Vec<(u16, Option<String>)> {
        let luns = names(&self.root.join(&self.tpg).join("lun"));
        let numbers = luns.iter().filter_map(|lun| lun.strip_prefix("lun_")?.parse().ok());
        let mut found: Vec<_> = numbers.map(|number| (number, self.leads_to(number))).collect();
        found.sort();
        found
    }

    fn leads_to(&self, lun: u16) -> Option<String> {
        let entries = fs::read_dir(self.lun_folder(lun)).ok()?;
        let link = entries.flatten().find_map(|entry| fs::read_link(entry.path()).ok())?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Somebody else makes a backstore, as plain targetcli does: under an HBA index that is free now.
    pub fn make_store(&self, name: &str, file: &str, wwn: &str, size: u64) {
        let taken: Vec<u32> = self.stores().iter().map(|store| store.index).collect();
        let index = (0..).find(|index| !taken.contains(index)).expect("an index is free");
        let (name, file, wwn) = (name.to_owned(), file.to_owned(), wwn.to_owned());
        self.put(&Store { index, name, file, wwn, size, enabled: true, alias: false });
    }

    /// Writes a backstore as it shall be; a new one, or one that is there.
    pub fn put(&self, store: &Store) {
        let folder = self.hba(store.index).join(&store.name);
        let (file, size) = (&store.file, store.size);
        let serial = if store.enabled { store.wwn.as_str() } else { "" };
        write(&folder.join("udev_path"), &format!("{file}\n"));
        write(&folder.join("enable"), if store.enabled { "1\n" } else { "0\n" });
        write(&folder.join("wwn/vpd_unit_serial"), &format!("T10 VPD Unit Serial Number: {serial}\n"));
        write(&folder.join("attrib/emulate_model_alias"), if store.alias { "1\n" } else { "0\n" });
        let status = if store.enabled { "ACTIVATED" } else { "DEACTIVATED" };
        write(
            &folder.join("info"),
            &format!(
                "Status: {status}  Max Queue Depth: 0  SectorSize: 512  HwMaxSectors: 16384\n        \
                 TCM FILEIO ID: 0        File: {file}  Size: {size}  Mode: O_DSYNC Async: 0\n"
            ),
        );
    }

    /// Takes a backstore away; its LUNs first.
    pub fn remove_store(&self, store: &Store) {
        for (lun, leads_to) in self.luns() {
            if leads_to.as_ref() == Some(&store.name) {
                self.remove_lun(lun);
            }
        }
        fs::remove_dir_all(self.hba(store.index)).expect("the backstore is there");
    }

    /// Makes a LUN.
    pub fn make_lun(&self, lun: u16, store: &Store) {
        self.make_bare_lun(lun);
        let target = format!("../../../../../../target/core/fileio_{}/{}", store.index, store.name);
        symlink(target, self.lun_folder(lun).join(format!("{lun:010x}"))).expect("the LUN is new");
    }

    /// Makes a LUN's folder and leaves it without a link, as a tool does that is killed in between.
    pub fn make_bare_lun(&self, lun: u16) {
        fs::create_dir_all(self.lun_folder(lun)).expect("the scratch folder takes folders");
    }

    /// Takes a LUN away.
    pub fn remove_lun(&self, lun: u16) {
        fs::remove_dir_all(self.lun_folder(lun)).expect("the LUN is there");
    }

    pub(super) fn hba(&self, index: u32) -> PathBuf {
        self.root.join(format!("core/fileio_{index}"))
    }

    fn lun_folder(&self, lun: u16) -> PathBuf {
        self.root.join(format!("{}/lun/lun_{lun}", self.tpg))
    }

    /// What rtslib dumps: everything, or why it cannot.
    pub(super) fn dump(&self, iqn: &str, tpg: u16) -> Result<serde_json::Value, String> {
        let mut objects = Vec::new();
        for store in self.stores() {
            if !store.enabled {
                return Err("Cannot read a T10 WWN Unit Serial from an unconfigured StorageObject".into());
            }
            objects.push(serde_json::json!({
                "plugin": "fileio", "name": store.name, "dev": store.file, "wwn": store.wwn, "size": store.size,
                "write_back": false, "aio": false, "attributes": {"emulate_model_alias": i32::from(store.alias)},
            }));
        }
        let mut luns = Vec::new();
        for (index, name) in self.luns() {
            let name = name.ok_or(super::BROKEN_LINK)?;
            luns.push(serde_json::json!({
                "index": index, "storage_object": format!("/backstores/fileio/{name}"), "alias": format!("{index:010x}"),
            }));
        }
        let tpgs =
            serde_json::json!([{"tag": tpg, "enable": true, "luns": luns, "node_acls": [], "portals": []}]);
        let target = serde_json::json!({"fabric": "iscsi", "wwn": iqn, "tpgs": tpgs});
        Ok(serde_json::json!({"fabric_modules": [], "storage_objects": objects, "targets": [target]}))
    }
}

fn store(hba: &Path, index: u32, name: String) -> Store {
    let read =
        |file: &str| fs::read_to_string(hba.join(&name).join(file)).unwrap_or_default().trim().to_owned();
    let size = read("info").rsplit_once(" Size: ").and_then(|(_, size)| size.split(' ').next()?.parse().ok());
    Store {
        index,
        file: read("udev_path"),
        wwn: read("wwn/vpd_unit_serial").rsplit(' ').next().unwrap_or_default().to_owned(),
        size: size.unwrap_or_default(),
        enabled: read("enable") == "1",
        alias: read("attrib/emulate_model_alias") == "1",
        name,
    }
}

/// The folders in this one.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("an entry is in a folder"))
        .expect("the scratch folder takes folders");
    fs::write(path, content).expect("the scratch folder takes files");
}
