//! A compute node: open-iscsi of the VM, logged in over loopback.

use super::{IQN, Image, run, wait_for};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PORTAL: &str = "127.0.0.1:3260";
/// Where an image is looked into.
pub(super) const MOUNTED: &str = "/run/compute";

/// A session with the VM's target; logged out when dropped.
pub struct Initiator;

impl Initiator {
    /// Discovers and logs in.
    pub fn login() -> Self {
        run("iscsiadm", &["-m", "discovery", "-t", "sendtargets", "-p", PORTAL]);
        let initiator = Initiator;
        initiator.login_at(PORTAL);
        initiator
    }

    /// Logs in at another portal of the target, too: a second path to each disk.
    pub fn login_at(&self, portal: &str) {
        run("iscsiadm", &["-m", "node", "-T", IQN, "-p", portal, "--login"]);
    }

    /// Looks for LUNs that were added since.
    pub fn rescan(&self) {
        run("iscsiadm", &["-m", "session", "--rescan"]);
    }

    /// The disk of an image, found as a compute node finds it: by its WWID.
    pub fn disk(&self, image: &Image) -> Disk {
        Disk::at(&image.by_id())
    }
}

impl Drop for Initiator {
    fn drop(&mut self) {
        let _ = std::process::Command::new("iscsiadm").args(["-m", "session", "-u"]).output();
    }
}

/// A block device of the initiator.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// The one that this link leads to, once it does.
    pub fn at(link: &str) -> Self {
        Disk { path: wait_for(link, Duration::from_secs(60), || fs::canonicalize(link).ok()) }
    }

    /// Its device node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn sysfs(&self, file: &str) -> String {
        let name = self.path.file_name().expect("a device name").to_string_lossy();
        let path = format!("/sys/block/{name}/{file}");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
    }

    /// The SCSI vendor.
    pub fn vendor(&self) -> String {
        self.sysfs("device/vendor")
    }

    /// The SCSI product, by which compute nodes recognise an image.
    pub fn product(&self) -> String {
        self.sysfs("device/model")
    }

    /// Whether the device is write protected.
    pub fn is_read_only(&self) -> bool {
        self.sysfs("ro") == "1"
    }

    /// SHA-256 of what is in its squashfs.
    pub fn sha256(&self) -> String {
        fs::create_dir_all(MOUNTED).expect("a mount point");
        run("mount", &["-t", "squashfs", "-o", "ro", &self.path.to_string_lossy(), MOUNTED]);
        let sum = sha256_of_tree(MOUNTED);
        run("umount", &[MOUNTED]);
        sum
    }
}

/// SHA-256 over the names and contents of all files below a folder, in the order of their names.
pub fn sha256_of_tree(folder: &str) -> String {
    let mut files = Vec::new();
    collect(Path::new(folder), &mut files);
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(folder).expect("a path below the folder");
        hash.update(name.to_string_lossy().as_bytes());
        hash.update(fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
