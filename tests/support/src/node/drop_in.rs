//! Drop-ins of units: for one test, and gone with it.

use super::run;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A unit with other settings than its file has, until this is dropped.
pub struct DropIn(PathBuf);

impl DropIn {
    /// Adds these lines to the unit; what runs already keeps what it has.
    pub fn of(unit: &str, lines: &str) -> Self {
        let folder = PathBuf::from(format!("/run/systemd/system/{unit}.d"));
        fs::create_dir_all(&folder).expect("a folder for the drop-in");
        let drop_in = DropIn(folder.join("test.conf"));
        fs::write(&drop_in.0, lines).expect("the drop-in");
        run("systemctl", &["daemon-reload"]);
        drop_in
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = Command::new("systemctl").arg("daemon-reload").output();
    }
}
