//! What others may know of the session, and how an operator gives it away for a while.

use crate::boot;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shared by the session and whoever asks about it. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_open: AtomicBool,
    released_until: Mutex<Option<Duration>>,
    turns: AtomicU64,
    waited_ms: AtomicU64,
}

/// How often our turn was waited for, and how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Connections that were made, or tried in vain.
    pub turns: u64,
    /// In all.
    pub waited: Duration,
}

impl Access {
    /// Whether there is a connection that the daemon serves.
    pub fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Nothing is said to the daemon for this long; `None`: from now on it is again.
    pub fn release(&self, how_long: Option<Duration>) {
        *self.until() = how_long.map(|how_long| boot::since() + how_long);
    }

    /// How long an operator has it still.
    pub fn released(&self) -> Option<Duration> {
        let mut until = self.until();
        let left = until.and_then(|until| until.checked_sub(boot::since())).filter(|left| !left.is_zero());
        if left.is_none() {
            *until = None;
        }
        left
    }

    /// Since the process started.
    pub fn waits(&self) -> Waits {
        let waited = Duration::from_millis(self.0.waited_ms.load(Ordering::Relaxed));
        Waits { turns: self.0.turns.load(Ordering::Relaxed), waited }
    }

    pub(super) fn waited(&self, how_long: Duration) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        self.0
            .waited_ms
            .fetch_add(u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A connection has come about; it is gone when this is dropped.
    pub(super) fn open(&self) -> Opened {
        self.0.is_open.store(true, Ordering::Relaxed);
        Opened(self.clone())
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.0.released_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is there.
#[derive(Debug)]
pub(super) struct Opened(Access);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.0.is_open.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_was_given_comes_back_by_itself_and_at_once_when_it_is_asked_for() {
        let access = Access::default();
        assert_eq!(access.released(), None);
        access.clone().release(Some(Duration::from_secs(60)));
        assert!(access.released().is_some_and(|left| left > Duration::from_secs(50)));
        access.release(None);
        assert_eq!(access.released(), None);
        access.release(Some(Duration::ZERO));
        assert_eq!(access.released(), None);
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let access = Access::default();
        let opened = access.open();
        assert!(access.is_open());
        drop(opened);
        assert!(!access.is_open());
    }
}
