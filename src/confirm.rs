//! How an operator's confirmation reaches the running agent: a file that names the removals and the time, and SIGHUP.
//!
//! It counts once and for a minute: what is confirmed is what the operator has just seen, not what is held under the
//! same code after a reload days later.

use crate::files::Folders;
use crate::lock::{self, Holder, LockError};
use crate::{boot, files, history};
use actors::decide::history::held_codes;
use actors::ports::HistoryError;
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its name in `runtime_dir`.
pub const FILE: &str = "confirm-removal";

/// So long after it was left a confirmation may be taken.
pub const GOOD_FOR: Duration = Duration::from_secs(60);

/// Bytes of the longest file that may be one: a code and a number.
const LONGEST: u64 = 1024;

/// Why a confirmation could not be left.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Nobody holds the lock.
    #[error("no agent runs: nobody holds {}", path.display())]
    NoAgent {
        /// The lock file.
        path: PathBuf,
    },
    /// The one who holds it takes no confirmation.
    #[error(
        "process {pid} does one pass (run --once) and takes no confirmation: confirm when the service runs"
    )]
    OnePass {
        /// Who.
        pid: u32,
    },
    /// Who holds the lock cannot be told.
    #[error("the agent cannot be found")]
    Lock(#[from] LockError),
    /// What the agent holds cannot be told.
    #[error("what the agent holds cannot be read")]
    History(#[from] HistoryError),
    /// Nothing waits for a confirmation.
    #[error("the agent holds no removals, so {code:?} confirms nothing")]
    NothingHeld {
        /// What was said.
        code: String,
    },
    /// Other removals wait.
    #[error("the agent holds removals under {held}, not {code:?}: look at `sbps-marshal plan` again")]
    OtherCode {
        /// What was said.
        code: String,
        /// What would be right: one code or several.
        held: String,
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
        pid: u32,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
}

/// Writes the code for the agent and wakes it, if that is what the agent holds.
pub fn write(Folders { runtime_dir, state_dir }: Folders<'_>, code: &str) -> Result<(), ConfirmError> {
    let Some(holder) = lock::holder(runtime_dir)? else {
        return Err(ConfirmError::NoAgent { path: runtime_dir.join(lock::FILE) });
    };
    if holder.name.passes_once {
        return Err(ConfirmError::OnePass { pid: holder.name.pid });
    }
    let stored = history::read(&state_dir.join(history::FILE))?;
    matches(&stored.as_deref().map(held_codes).unwrap_or_default(), code)?;
    tell(runtime_dir, &holder, code)
}

fn tell(runtime_dir: &Path, holder: &Holder, code: &str) -> Result<(), ConfirmError> {
    let path = runtime_dir.join(FILE);
    let text = format!("{code} {}\n", boot::since().as_secs());
    files::replace(&path, text.as_bytes()).map_err(|source| ConfirmError::Write { path, source })?;
    holder.signal(Signal::HUP).map_err(|source| ConfirmError::Signal { pid: holder.name.pid, source })
}

/// Only what is held can be confirmed.
fn matches(held: &[String], code: &str) -> Result<(), ConfirmError> {
    let is_held = held.iter().any(|held| held == code);
    let code = code.to_owned();
    match held {
        _ if is_held => Ok(()),
        [] => Err(ConfirmError::NothingHeld { code }),
        held => Err(ConfirmError::OtherCode { code, held: held.join(", ") }),
    }
}

/// Why a confirmation that was left does not count.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// It was left too long ago.
    #[error("{} was left {age} s ago and is good for {} s: confirm again", path.display(), GOOD_FOR.as_secs())]
    Old {
        /// The file.
        path: PathBuf,
        /// Seconds.
        age: u64,
    },
    /// It is none of ours.
    #[error("{} is not a code and a time of this boot: confirm again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read, or not be removed, so that it would count again and again.
    #[error("{} cannot be {done}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `removed`.
        done: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DropError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            DropError::Old { .. } => "old",
            DropError::Malformed { .. } => "malformed",
            DropError::Io { .. } => "io",
        }
    }
}

/// The code that was left, once; `None` if none was.
pub fn consume(runtime_dir: &Path) -> Result<Option<String>, DropError> {
    consume_at(boot::since(), runtime_dir)
}

fn consume_at(now: Duration, runtime_dir: &Path) -> Result<Option<String>, DropError> {
    let path = runtime_dir.join(FILE);
    let failed = |done| {
        let path = path.clone();
        move |source| DropError::Io { path, done, source }
    };
    let text = match files::read_up_to(&path, LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed("read"))?,
    };
    fs::remove_file(&path).map_err(failed("removed"))?;
    let left = std::str::from_utf8(&text).ok().and_then(|text| text.trim().split_once(' '));
    let Some((code, age)) = left.and_then(|(code, time)| Some((code, age(now, time)?))) else {
        return Err(DropError::Malformed { path });
    };
    if age > GOOD_FOR.as_secs() {
        return Err(DropError::Old { path, age });
    }
    Ok(Some(code.to_owned()))
}

/// `None` if it is no time, or one that is still to come: it is of another boot.
fn age(now: Duration, time: &str) -> Option<u64> {
    now.as_secs().checked_sub(time.parse().ok()?)
}

#[cfg(test)]
mod tests;
