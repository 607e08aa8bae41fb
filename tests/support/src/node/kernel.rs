//! What configfs shows, read by the tests themselves: success is what the kernel shows.

use super::IQN;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/kernel/config/target";

/// One LUN of the VM's target, with its backstore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lun {
    /// Name of the backstore.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its unit serial.
    pub wwn: String,
    /// Whether initiators see its name as the product.
    pub model_alias: bool,
    /// Inode of the LUN's folder: another one if the LUN was made anew.
    pub inode: u64,
}

/// A LUN by its number.
pub type Target = BTreeMap<u16, Lun>;

/// All LUNs of the VM's target.
pub fn luns() -> Target {
    let folder = Path::new(ROOT).join("iscsi").join(IQN).join("tpgt_1/lun");
    let entries = fs::read_dir(folder).expect("the target's LUNs");
    entries.filter_map(|entry| read_lun(&entry.ok()?.path())).collect()
}

/// Whether there is a LUN of the backstore of this name: a look that costs little, for who looks again and again.
pub fn has_lun_of(backstore: &str) -> bool {
    let folder = Path::new(ROOT).join("iscsi").join(IQN).join("tpgt_1/lun");
    let folders =
        |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let links = folders(folder).flat_map(folders).filter_map(|path| fs::read_link(path).ok());
    links.into_iter().any(|target| target.file_name().is_some_and(|name| name == backstore))
}

/// Takes every LUN, backstore and target away, as a boot does: whoever saved them still has them saved.
pub fn clear_target() {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries =
            fs::read_dir(folder).map(|entries| entries.filter_map(|e| Some(e.ok()?.path())).collect());
        let folders = |paths: Vec<PathBuf>| paths.into_iter().filter(|path| path.is_dir()).collect();
        entries.map(folders).unwrap_or_default()
    };
    let remove = |folder: &Path| {
        fs::remove_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    };
    let tpg = Path::new(ROOT).join("iscsi").join(IQN).join("tpgt_1");
    fs::write(tpg.join("enable"), "0").expect("the TPG can be disabled");
    for lun in entries(&tpg.join("lun")) {
        for link in entries(&lun).into_iter().filter(|path| path.is_symlink()) {
            fs::remove_file(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        }
        remove(&lun);
    }
    entries(&tpg.join("np")).iter().for_each(|portal| remove(portal));
    remove(&tpg);
    remove(&Path::new(ROOT).join("iscsi").join(IQN));
    // An HBA holds files beside its backstores, and `alua` is no HBA.
    let hba = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains('_'));
    for hba in entries(&Path::new(ROOT).join("core")).into_iter().filter(hba) {
        entries(&hba).iter().for_each(|backstore| remove(backstore));
        remove(&hba);
    }
}

fn read_lun(lun: &Path) -> Option<(u16, Lun)> {
    use std::os::unix::fs::MetadataExt;
    let number = lun.file_name()?.to_str()?.strip_prefix("lun_")?.parse().ok()?;
    let links = fs::read_dir(lun).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let backstore: PathBuf = links.filter(|path| path.is_symlink()).find_map(|p| fs::canonicalize(p).ok())?;
    let read = |file: &str| fs::read_to_string(backstore.join(file)).unwrap_or_default().trim().to_owned();
    let serial = read("wwn/vpd_unit_serial");
    let lun = Lun {
        name: backstore.file_name()?.to_str()?.to_owned(),
        file: read("udev_path"),
        wwn: serial.rsplit(": ").next().unwrap_or_default().to_owned(),
        model_alias: read("attrib/emulate_model_alias") == "1",
        inode: fs::metadata(lun).ok()?.ino(),
    };
    Some((number, lun))
}
