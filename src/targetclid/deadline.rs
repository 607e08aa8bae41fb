//! The time one wait may take, to the last byte of an answer (R14).

use std::time::{Duration, Instant};

/// A moment after which nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
}

impl Deadline {
    /// So much time from now on.
    pub(super) fn after(limit: Duration) -> Self {
        Deadline { end: Instant::now() + limit }
    }

    /// What is left; never zero, which a socket would take for "for ever".
    pub(super) fn left(&self) -> Option<Duration> {
        self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}
