//! The priority of each line, where journald reads our stderr: without it `journalctl -p warning` shows nothing.

use std::io;

use rustix::fs::fstat;
use tracing::Level;

/// systemd's word for it (systemd.exec(5)): device and inode of the stream that it gave us.
const STREAM_VARIABLE: &str = "JOURNAL_STREAM";

/// Whether stderr goes to the journal. Inherited, the variable may name a stream that is not ours: a shell started by a
/// unit, or a redirection.
pub(super) fn is_stderr() -> bool {
    let stream = std::env::var(STREAM_VARIABLE).ok();
    fstat(io::stderr()).is_ok_and(|stat| names(stream.as_deref(), stat.st_dev, stat.st_ino))
}

fn names(stream: Option<&str>, device: u64, inode: u64) -> bool {
    stream == Some(format!("{device}:{inode}").as_str())
}

/// What journald takes off the beginning of a line and keeps as its PRIORITY (sd-daemon(3)).
pub(super) fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_systemd_names_is_the_journal() {
        assert!(names(Some("9:41"), 9, 41));
        for other in [None, Some(""), Some("9:42"), Some("8:41"), Some("9"), Some("9:41:1")] {
            assert!(!names(other, 9, 41), "{other:?}");
        }
    }
}
