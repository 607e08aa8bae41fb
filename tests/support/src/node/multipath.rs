//! multipathd of a compute node, for LIO's disks alone. In every other test it does not run.

use super::{run, wait_for};
use std::fs;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = "/etc/multipath.conf";
const SECTIONS: &str = "/etc/multipath/conf.d";
/// A map that has lost its paths fails what is read from it: else whoever reads would hang, and the VM with it.
const TEXT: &str = "defaults {
    find_multipaths no
    user_friendly_names no
}
blacklist {
    device {
        vendor \".*\"
    }
}
blacklist_exceptions {
    device {
        vendor \"LIO-ORG\"
    }
}
overrides {
    no_path_retry fail
}
";

/// Runs until it is dropped, and takes its maps along. Has to be dropped before the initiator's session.
pub struct Multipath;

impl Multipath {
    /// Starts it, with these sections beside the configuration of the node.
    pub fn start(sections: &str) -> Self {
        fs::create_dir_all(SECTIONS).expect("a folder for sections");
        fs::write(CONFIG, TEXT).expect("the configuration");
        fs::write(format!("{SECTIONS}/test.conf"), sections).expect("the sections");
        run("systemctl", &["start", "multipathd.service"]);
        Multipath
    }

    /// What it says of a map, once it has made it.
    pub fn map(&self, name: &str) -> String {
        wait_for(name, Duration::from_secs(60), || {
            let shown = run("multipath", &["-ll", name]);
            (!shown.trim().is_empty()).then_some(shown)
        })
    }
}

impl Drop for Multipath {
    fn drop(&mut self) {
        let quietly = |program: &str, arguments: &[&str]| {
            let _ = Command::new("timeout").args(["60", program]).args(arguments).output();
        };
        quietly("systemctl", &["stop", "multipathd.service", "multipathd.socket"]);
        quietly("umount", &["-l", super::initiator::MOUNTED]);
        quietly("multipath", &["-F"]);
        let _ = fs::remove_file(CONFIG);
        let _ = fs::remove_dir_all(SECTIONS);
        let _ = fs::remove_file("/etc/multipath/wwids");
        let _ = fs::remove_file("/etc/multipath/bindings");
    }
}
