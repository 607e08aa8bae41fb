//! The lock of plain `targetcli`: flock(2) on a file in /run, which it holds for its whole life (facts 2.11).
//!
//! targetclid takes no lock, so that whoever tells it to change something while a plain `targetcli` runs may take the
//! HBA index that the other one is about to use. Each changing command is said under this lock, and no longer: an
//! operator waits for one command at most.
//!
//! In every version (2.1.53 to 3.0.2) `targetcli` takes the lock before it looks whether it is to use the daemon. With
//! `auto_use_daemon` it then holds the lock and waits for its turn at the daemon. So the lock is never waited for with
//! a session open, nor a turn with the lock held: both could wait for each other.
//!
//! It is not waited for for ever: somebody may have left a shell open. What is done without it is not decided here.

use super::holder;
use actors::ports::LioError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where every targetcli has it.
const PATH: &str = "/var/run/targetcli.lock";

/// For one pass, until the lock has been had: `targetcli` with a command needs a few seconds; whoever has it longer has a
/// shell open.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one try to the next: between two commands of a script the lock is free for as long as Python takes to start.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, which is not held.
#[derive(Clone, Debug)]
pub struct ShellLock {
    path: PathBuf,
    patience: Duration,
    /// What is left of it in this pass, since the lock was last had.
    left: Duration,
}

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct Held(Option<File>);

impl Drop for Held {
    /// Closing the file would not do: a program that is being started by another thread has it too, until its exec.
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Closing it is the next best.
            let _ = file.unlock();
        }
    }
}

impl Default for ShellLock {
    fn default() -> Self {
        ShellLock::new(PATH, PATIENCE)
    }
}

impl ShellLock {
    /// The lock of this file, and how long it is waited for in one pass. Only tests have another one.
    pub fn new(path: impl Into<PathBuf>, patience: Duration) -> Self {
        ShellLock { path: path.into(), patience, left: patience }
    }

    /// Whoever has it may be waited for once more.
    pub fn renew(&mut self) {
        self.left = self.patience;
    }

    /// The lock, if nobody has it: whoever had it does not keep it. Where its file cannot be made there is no other
    /// holder: targetcli would not start.
    pub fn try_take(&mut self) -> Option<Held> {
        let held = match self.open() {
            Ok(file) => lock(&file).then_some(Held(Some(file))),
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "targetcli's lock cannot be opened");
                Some(Held(None))
            }
        };
        if held.is_some() {
            self.renew();
        }
        held
    }

    /// Nobody has it at this moment; else the error says who.
    pub fn look(&self, command: &str) -> Result<(), LioError> {
        match self.open() {
            Ok(file) if !lock(&file) => Err(self.locked(&file, command)),
            Ok(file) => {
                drop(Held(Some(file)));
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Nobody has it now, or the patience of this pass is used up: then the error says who has it.
    pub fn wait(&mut self, command: &str) -> Result<(), LioError> {
        let Ok(file) = self.open() else { return Ok(()) };
        loop {
            if self.left.is_zero() {
                return Err(self.locked(&file, command));
            }
            let begun = Instant::now();
            std::thread::sleep(PAUSE.min(self.left));
            self.left = self.left.saturating_sub(begun.elapsed());
            if lock(&file) {
                drop(Held(Some(file)));
                return Ok(());
            }
        }
    }

    /// Whether it is waited for no more.
    pub fn is_given_up(&self) -> bool {
        self.left.is_zero()
    }

    fn locked(&self, file: &File, command: &str) -> LioError {
        LioError::Locked {
            command: command.to_owned(),
            path: self.path.display().to_string(),
            holder: holder::of_lock(file).unwrap_or_else(|| holder::SOMEBODY.to_owned()),
            seconds: self.patience.as_secs(),
        }
    }

    /// As targetcli opens it, but nothing is cut off: it is empty anyway. Made anew each boot, /run being in memory.
    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)
    }
}

/// Whether it could be locked at once. Where it cannot be locked at all, nobody else can lock it either.
fn lock(file: &File) -> bool {
    let taken = rustix::io::retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive));
    taken != Err(rustix::io::Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, ShellLock) {
        let folder = tempfile::tempdir().unwrap();
        let lock = ShellLock::new(folder.path().join("targetcli.lock"), Duration::from_millis(200));
        (folder, lock)
    }

    #[test]
    fn a_program_that_is_just_being_started_does_not_hold_the_lock_on() {
        let (_folder, mut lock) = scene();
        let held = lock.try_take().unwrap();
        // What a fork has until its exec.
        let inherited = held.0.as_ref().unwrap().try_clone().unwrap();
        drop(held);
        assert!(lock.try_take().is_some(), "it was given back");
        lock.look("refresh").unwrap();
        lock.wait("refresh").unwrap();
        assert!(lock.try_take().is_some());
        drop(inherited);
    }

    #[test]
    fn the_lock_is_held_until_it_is_dropped_and_its_file_is_made() {
        let (_folder, mut lock) = scene();
        let held = lock.try_take().unwrap();
        assert!(lock.try_take().is_none());
        drop(held);
        assert!(lock.try_take().is_some());
    }

    #[test]
    fn m17_the_holder_of_the_lock_is_named_when_the_patience_of_the_pass_is_used_up() {
        let (_folder, mut lock) = scene();
        let held = lock.try_take();
        let Err(LioError::Locked { command, path, holder, .. }) = lock.wait("x") else {
            panic!("it is held")
        };
        assert!(holder.starts_with(&format!("pid {} (", std::process::id())), "{holder}");
        assert!(path.ends_with("targetcli.lock"), "{path}");
        assert_eq!((command.as_str(), lock.is_given_up()), ("x", true));
        lock.renew();
        drop(held);
        assert!(lock.wait("x").is_ok());
    }

    #[test]
    fn r13_a_lock_that_was_had_meanwhile_is_waited_for_anew_and_one_that_was_only_free_is_not() {
        let (_folder, mut lock) = scene();
        let held = lock.try_take();
        lock.wait("x").unwrap_err();
        assert!(lock.is_given_up());
        drop(held);
        lock.look("x").unwrap();
        assert!(lock.is_given_up(), "somebody else may be quicker again");
        assert!(lock.try_take().is_some() && !lock.is_given_up());
    }

    #[test]
    fn where_no_lock_file_can_be_made_no_targetcli_runs_either() {
        let mut lock = ShellLock::new("/nowhere/targetcli.lock", Duration::ZERO);
        assert!(lock.try_take().is_some());
        assert!(lock.wait("x").is_ok());
    }
}
