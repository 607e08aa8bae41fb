//! One instance at a time (R12): two agents would undo each other's work.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Held as long as this value lives. The kernel lets go when the process ends, however it ends; the file stays, for
/// removing it would let two instances lock two files of one name.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

/// Why this instance may not run.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one does.
    #[error(
        "{} is held by another sbps-marshal{}; stop that one first (systemctl stop sbps-marshal)",
        path.display(), process(pid)
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Of the holder, as it wrote it.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("{} cannot be locked ({source}); is runtime_dir a folder that root may write to?", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(", process {pid}")).unwrap_or_default()
}

impl InstanceLock {
    /// Locks `<dir>/lock` and leaves our process id in it. The folder is made if it is not there.
    pub fn acquire(dir: &Path) -> Result<InstanceLock, LockError> {
        let path = dir.join("lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(dir, &path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                write_pid(&mut file).map_err(failed)?;
                Ok(InstanceLock { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(LockError::Held { pid: read_pid(&mut file), path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    // Not truncated: until the lock is ours, the pid in it is the other's.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// `None` in the moment between the other's lock and its writing.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_the_second_instance_is_refused_and_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("run/sbps-marshal");
        let _first = InstanceLock::acquire(&dir).unwrap();
        let refused = InstanceLock::acquire(&dir).unwrap_err().to_string();
        let expected = format!(
            "{}/lock is held by another sbps-marshal, process {}; stop that one first (systemctl stop sbps-marshal)",
            dir.display(),
            std::process::id()
        );
        assert_eq!(refused, expected);
    }

    #[test]
    fn r12_the_lock_of_an_instance_that_ended_is_free_whatever_it_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "4194304, and more than a pid\n").unwrap();
        drop(InstanceLock::acquire(folder.path()).unwrap());
        let _next = InstanceLock::acquire(folder.path()).unwrap();
        let left = fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(left, format!("{}\n", std::process::id()));
    }

    #[test]
    fn r12_a_folder_that_cannot_be_made_is_an_error_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = InstanceLock::acquire(&folder.path().join("file")).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }));
        assert!(error.to_string().ends_with("is runtime_dir a folder that root may write to?"), "{error}");
    }
}
