//! One instance at a time (R12): two agents would undo each other's work.

use crate::flock;
use actors::events::emit;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Its name in `runtime_dir`.
pub const FILE: &str = "lock";

/// What the holder of a lock is said to do, after its process id.
const ONE_PASS: &str = "once";

/// How often a lock is tried that somebody may have taken only to see whether it is held (see [`holder`]), or whose
/// holder has not written its name yet.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Held until it is released, or the process ends, however it ends. The file stays, for removing it would let two
/// instances lock two files of one name.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

/// Who holds the lock, as it wrote itself into the file. It is written a moment after the lock is taken: until then the
/// name is that of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its process.
    pub pid: u32,
    /// Whether it does one pass and ends: nothing can be asked of it.
    pub passes_once: bool,
}

/// The process that holds the lock: this one and no later one of its number.
#[derive(Debug)]
pub struct Holder {
    /// What it says of itself.
    pub name: Name,
    process: OwnedFd,
}

impl Holder {
    /// Sends it a signal; it may have ended by now.
    pub fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        pidfd_send_signal(&self.process, signal)
    }
}

/// Why this instance may not run, or the lock not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one does.
    #[error(
        "{} is held by another sbps-marshal{}; stop that one first (systemctl stop sbps-marshal)",
        path.display(), process(holder)
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who, if it has said so.
        holder: Option<Name>,
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

fn process(holder: &Option<Name>) -> String {
    holder.as_ref().map(|holder| format!(", process {}", holder.pid)).unwrap_or_default()
}

impl InstanceLock {
    /// Locks `<dir>/lock` and leaves in it who we are. The folder is made if it is not there.
    pub fn acquire(dir: &Path, passes_once: bool) -> Result<InstanceLock, LockError> {
        InstanceLock::acquire_between(dir, passes_once, || thread::sleep(BETWEEN_TRIES))
    }

    fn acquire_between(
        dir: &Path,
        passes_once: bool,
        mut pause: impl FnMut(),
    ) -> Result<InstanceLock, LockError> {
        let path = dir.join(FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(dir, &path).map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    write_name(&mut file, passes_once).map_err(failed)?;
                    return Ok(InstanceLock { file });
                }
                Err(TryLockError::WouldBlock) => pause(),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(LockError::Held { holder: read_name(&path), path })
    }

    /// Lets go now. When the process ends the kernel does it only after its last thread: one that hangs in a dead s3fs
    /// would keep every next instance from starting.
    pub fn release(self) {
        if let Err(error) = self.file.unlock() {
            emit!(LOCK_NOT_RELEASED, detail = error.to_string());
        }
    }
}

/// Who holds the lock of this folder; `None` if nobody does, whatever its file says. The lock is taken for a moment to
/// see that, and whoever the file names must be the one that the kernel names.
pub fn holder(dir: &Path) -> Result<Option<Holder>, LockError> {
    let path = dir.join(FILE);
    for _ in 0..TRIES {
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        // Shared: two who ask at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(holder) = read_name(&path).and_then(|name| verified(name, &file)) {
            return Ok(Some(holder));
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Err(LockError::Io { path, source: io::Error::other("its holder has not written its process id") })
}

/// Its process first: should it end and its number go to another one, that one is not signalled.
fn verified(name: Name, file: &File) -> Option<Holder> {
    let pid = i32::try_from(name.pid).ok().and_then(Pid::from_raw)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    flock::is_owner(name.pid, file).then_some(Holder { name, process })
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    // Not truncated: until the lock is ours, the name in it is the other's.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn write_name(file: &mut File, passes_once: bool) -> io::Result<()> {
    let work = if passes_once { format!(" {ONE_PASS}") } else { String::new() };
    file.set_len(0)?;
    writeln!(file, "{}{work}", std::process::id())
}

/// `None` in the moment between the other's lock and its writing.
fn read_name(path: &Path) -> Option<Name> {
    let mut text = String::new();
    File::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
    let (pid, work) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    Some(Name { pid: pid.parse().ok()?, passes_once: work == ONE_PASS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes;

    #[test]
    fn r12_the_second_instance_is_refused_and_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("run/sbps-marshal");
        let _first = InstanceLock::acquire(&dir, false).unwrap();
        let refused = InstanceLock::acquire(&dir, false).unwrap_err().to_string();
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
        drop(InstanceLock::acquire(folder.path(), false).unwrap());
        let _next = InstanceLock::acquire(folder.path(), false).unwrap();
        let left = fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(left, format!("{}\n", std::process::id()));
    }

    #[test]
    fn r12_a_folder_that_cannot_be_made_is_an_error_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = InstanceLock::acquire(&folder.path().join("file"), false).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }));
        assert!(error.to_string().ends_with("is runtime_dir a folder that root may write to?"), "{error}");
    }

    #[test]
    fn m11_only_who_holds_the_lock_is_its_holder_whatever_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert!(holder(dir).unwrap().is_none(), "nobody ever did");
        fs::write(dir.join(FILE), "1\n").unwrap();
        assert!(holder(dir).unwrap().is_none(), "its file outlives it");
        let pid = std::process::id();
        for passes_once in [false, true] {
            let lock = InstanceLock::acquire(dir, passes_once).unwrap();
            assert_eq!(holder(dir).unwrap().map(|holder| holder.name), Some(Name { pid, passes_once }));
            lock.release();
            assert!(holder(dir).unwrap().is_none());
        }
    }

    #[test]
    fn s2_the_name_of_the_one_before_is_not_taken_for_that_of_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let _lock = InstanceLock::acquire(folder.path(), false).unwrap();
        // As in the moment between the lock and the writing of the name. Process 1 lives and holds nothing here.
        fs::write(folder.path().join(FILE), "1\n").unwrap();
        let error = causes::with_causes(&holder(folder.path()).unwrap_err());
        assert!(error.contains("its holder has not written its process id"), "{error}");
    }

    #[test]
    fn r12_who_only_asks_for_the_holder_keeps_no_instance_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "").unwrap();
        let mut asking = File::open(folder.path().join(FILE)).ok();
        asking.as_ref().unwrap().try_lock_shared().unwrap();
        // The one who asks has seen enough by the first pause.
        InstanceLock::acquire_between(folder.path(), false, || drop(asking.take())).unwrap();
        assert!(asking.is_none(), "it was not in the way");
    }

    #[test]
    fn g7_a_released_lock_is_free_although_a_thread_that_hangs_keeps_its_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let lock = InstanceLock::acquire(folder.path(), false).unwrap();
        let _kept_open = lock.file.try_clone().unwrap();
        lock.release();
        InstanceLock::acquire(folder.path(), false).unwrap();
    }
}
