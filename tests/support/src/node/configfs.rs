//! Objects that a test makes by hand in configfs, as a tool that was killed half-way or another tool leaves them.

use super::IQN;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

const ROOT: &str = "/sys/kernel/config/target";
/// The initiator of the VM (tests/vm/guest/etc/iscsi/initiatorname.iscsi).
pub const INITIATOR: &str = "iqn.2023-06.csm.iscsi:vm1-initiator";

/// A file or folder of configfs.
pub fn configfs(path: &str) -> PathBuf {
    PathBuf::from(ROOT).join(path)
}

/// The VM's TPG: its folder below the root.
pub fn tpg() -> String {
    format!("iscsi/{IQN}/tpgt_1")
}

/// Writes an attribute.
pub fn set(path: &str, value: &str) {
    fs::write(configfs(path), value).unwrap_or_else(|error| panic!("{value} to {path}: {error}"));
}

/// Reads an attribute; empty if it is not there.
pub fn get(path: &str) -> String {
    fs::read_to_string(configfs(path)).unwrap_or_default().trim().to_owned()
}

/// Makes a folder, and those it is in.
pub fn make(path: &str) {
    fs::create_dir_all(configfs(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Removes a folder.
pub fn remove(path: &str) {
    fs::remove_dir(configfs(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Inode of a folder; `None` if there is none.
pub fn inode(path: &str) -> Option<u64> {
    fs::metadata(configfs(path)).ok().map(|folder| folder.ino())
}

/// A fileio backstore as it is just before its file is opened: `core/fileio_<hba>/<name>`, not enabled, no serial.
pub fn half_made_backstore(hba: u32, name: &str, file: &str) -> String {
    let folder = format!("core/fileio_{hba}/{name}");
    make(&folder);
    let size = fs::metadata(file).unwrap_or_else(|error| panic!("{file}: {error}")).len();
    set(&format!("{folder}/control"), &format!("fd_dev_name={file},fd_dev_size={size}"));
    set(&format!("{folder}/udev_path"), file);
    folder
}

/// The mappings of a node ACL of the VM's TPG: number, number of the TPG's LUN, and whether it is write protected.
pub fn mappings(initiator: &str) -> Vec<(u16, u16, bool)> {
    let acl = format!("{}/acls/{initiator}", tpg());
    let number = |name: &str| name.strip_prefix("lun_").and_then(|number| number.parse().ok());
    let mut found = Vec::new();
    for entry in fs::read_dir(configfs(&acl)).unwrap_or_else(|error| panic!("{acl}: {error}")) {
        let folder = entry.expect("an entry of an ACL").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(mapped) = number(&name) else { continue };
        let links = fs::read_dir(&folder).expect("a mapping").flatten();
        let target = links.filter_map(|link| fs::read_link(link.path()).ok()).next();
        let lun = target.and_then(|target| number(&target.file_name()?.to_string_lossy()));
        let protected = get(&format!("{acl}/{name}/write_protect")) == "1";
        found.extend(lun.map(|lun| (mapped, lun, protected)));
    }
    found.sort_unstable();
    found
}
