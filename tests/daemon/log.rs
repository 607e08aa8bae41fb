//! Where the log goes, and how.

use super::agent::Site;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// What `run --once --sim` logs into a file, with this JOURNAL_STREAM.
fn logged(stream: impl FnOnce(u64, u64) -> String) -> String {
    let site = Site::new();
    let log = File::create(site.path("log")).unwrap();
    let metadata = log.metadata().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_sbps-marshal"))
        .args(["run", "--once", "--sim"])
        .env("JOURNAL_STREAM", stream(metadata.dev(), metadata.ino()))
        .stderr(Stdio::from(log))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    std::fs::read_to_string(site.path("log")).unwrap()
}

#[test]
fn l8_each_line_has_its_priority_when_stderr_is_the_journal() {
    let log = logged(|device, inode| format!("{device}:{inode}"));
    assert!(log.contains("<6>{") && log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn l8_no_line_has_a_priority_when_stderr_is_anything_else() {
    let log = logged(|device, inode| format!("{device}:{}", inode + 1));
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}
