//! What is remembered on disk.

use crate::model::Boot;
use std::future::Future;

/// What is remembered on disk over a restart, and the clock that its times are of.
pub trait HistoryPort: 'static {
    /// What was stored last; `None` if nothing ever was. [`HistoryError::Outdated`] if the last `store` in this boot
    /// failed: whoever relied on that may have held more back, or begun a look anew.
    fn load(&self) -> impl Future<Output = Result<Option<Vec<u8>>, HistoryError>>;

    /// It is stored, whole or not at all.
    fn store(&self, bytes: Vec<u8>) -> impl Future<Output = Result<(), HistoryError>>;

    /// This boot of the node: a name of its own (`/proc/sys/kernel/random/boot_id`), and how long ago it was
    /// (CLOCK_BOOTTIME).
    fn boot(&self) -> Boot;
}

/// Why nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file or its folder.
    #[error("{path} cannot be {done}")]
    Io {
        /// The file.
        path: String,
        /// `read` or `written`.
        done: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was to be stored last could not be: what is there is of an earlier time.
    #[error("{path} is older than what the agent knew last: storing that failed")]
    Outdated {
        /// The file.
        path: String,
    },
    /// More than any history of ours: it is not read.
    #[error("{path} has {size} bytes: that is no history of ours")]
    TooLarge {
        /// The file.
        path: String,
        /// Bytes.
        size: u64,
    },
}

impl HistoryError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            HistoryError::Io { .. } => "history_io",
            HistoryError::Outdated { .. } => "history_outdated",
            HistoryError::TooLarge { .. } => "history_too_large",
        }
    }
}
