//! A boot of the node.

use std::time::Duration;

/// A boot of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// No other boot has it.
    pub id: String,
    /// Time since then.
    pub since: Duration,
}
