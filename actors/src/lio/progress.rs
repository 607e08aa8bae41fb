//! How far the agent is: what the watchdog is fed by, and what is shown to whoever waits for a pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// What a pass is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No pass is under way.
    #[default]
    Idle,
    /// It asks its sources.
    Looking,
    /// It tells LIO.
    Changing {
        /// Changes that have ended, well or not.
        done: usize,
        /// All of them.
        of: usize,
    },
}

/// Shared by all who have something to say about it. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    count: Arc<AtomicU64>,
    phase: watch::Sender<Phase>,
}

impl Progress {
    /// Something has come about.
    pub fn note(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Grows whenever something has come about.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The pass has come to this.
    pub fn enter(&self, phase: Phase) {
        self.note();
        self.phase.send_replace(phase);
    }

    /// What the pass is at, now and from now on.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}
