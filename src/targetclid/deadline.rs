//! The time one command may take, from its connect to the last byte of its answer (R14).

use std::time::{Duration, Instant};

/// A moment after which nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    limit: Duration,
    end: Instant,
}

impl Deadline {
    /// So much time from now on.
    pub(super) fn after(limit: Duration) -> Self {
        Deadline { limit, end: Instant::now() + limit }
    }

    /// The same end, or an earlier one.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        let sooner = Deadline::after(limit);
        if sooner.end < self.end { sooner } else { self }
    }

    /// What is left; never zero, which a socket would take for "for ever".
    pub(super) fn left(&self) -> Option<Duration> {
        self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The whole of it, for the error message.
    pub(super) fn seconds(&self) -> u64 {
        self.limit.as_secs()
    }
}
