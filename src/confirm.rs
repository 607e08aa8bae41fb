//! How an operator's confirmation reaches the running agent: a file that names the removals, and SIGHUP.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a confirmation could not be left.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Nobody holds the lock file.
    #[error("no agent runs: {} names no process", path.display())]
    NoAgent {
        /// The lock file.
        path: PathBuf,
        /// Why it could not be read.
        #[source]
        source: Option<io::Error>,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: run this as root", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent cannot be told.
    #[error("process {pid} cannot be sent SIGHUP: run this as root, or systemctl reload sbps-marshal")]
    Signal {
        /// The agent.
        pid: i32,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
}

fn file(dir: &Path) -> PathBuf {
    dir.join("confirm-removal")
}

/// Leaves the code for the agent and wakes it.
pub fn leave(dir: &Path, code: &str) -> Result<(), ConfirmError> {
    let lock = dir.join("lock");
    let (number, error) = match fs::read_to_string(&lock) {
        Ok(text) => (text.trim().parse::<i32>().ok(), None),
        Err(error) => (None, Some(error)),
    };
    let Some((number, pid)) = number.and_then(|n| Some((n, Pid::from_raw(n)?))) else {
        return Err(ConfirmError::NoAgent { path: lock, source: error });
    };
    let path = file(dir);
    fs::write(&path, code).map_err(|source| ConfirmError::Write { path, source })?;
    kill_process(pid, Signal::HUP).map_err(|source| ConfirmError::Signal { pid: number, source })
}

/// The code that was left, once.
pub fn take(dir: &Path) -> Option<String> {
    let path = file(dir);
    let code = fs::read_to_string(&path).ok()?;
    // If it cannot be removed it must not count: it would confirm again and again.
    fs::remove_file(&path).ok()?;
    Some(code.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_confirmation_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(take(dir.path()), None);
        fs::write(file(dir.path()), "1a2b3c4d\n").unwrap();
        assert_eq!(take(dir.path()), Some("1a2b3c4d".to_owned()));
        assert_eq!(take(dir.path()), None);
    }

    #[test]
    fn without_a_running_agent_the_error_names_the_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = leave(dir.path(), "1a2b3c4d").unwrap_err().to_string();
        assert!(error.contains("no agent runs") && error.contains("lock"), "{error}");
    }
}
