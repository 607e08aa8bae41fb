//! What carrying out a plan came to.

use super::identity::Identity;
use super::lio::Actual;
use std::collections::BTreeSet;

/// What became of saveconfig.json.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SaveOutcome {
    /// Nobody looked.
    #[default]
    Untried,
    /// It says what is live.
    Equal,
    /// It was written, and says now what is live.
    Written,
    /// It was not written, and why.
    Refused(String),
    /// It should have been written.
    Failed(String),
}

impl SaveOutcome {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            SaveOutcome::Untried => "untried",
            SaveOutcome::Equal => "equal",
            SaveOutcome::Written => "written",
            SaveOutcome::Refused(_) => "refused",
            SaveOutcome::Failed(_) => "failed",
        }
    }
}

/// A change that did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of which image.
    pub identity: Identity,
    /// Short, from a bounded set.
    pub kind: &'static str,
    /// For a person.
    pub detail: String,
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// LUNs that configfs shows now.
    pub added: usize,
    /// LUNs that were made anew under their numbers.
    pub remade: usize,
    /// The projections that configfs does not show any more.
    pub removed: BTreeSet<Identity>,
    /// Changes that did not come about.
    pub failed: Vec<Failure>,
    /// Changes that were not tried, because the daemon did not answer, the lock was held, or the agent was told
    /// to stop.
    pub untried: usize,
    /// Who holds the daemon, so that nothing could be changed.
    pub busy: Option<String>,
    /// Who has plain targetcli's lock, which was waited for in vain.
    pub locked: Option<String>,
    /// saveconfig.json.
    pub saved: SaveOutcome,
    /// What configfs shows after all this; `None` if it could not be read.
    pub after: Option<Actual>,
    /// Milliseconds.
    pub duration_ms: u64,
}

impl Report {
    /// Whether anything of ours was changed.
    pub fn has_changed(&self) -> bool {
        self.added + self.remade + self.removed.len() > 0
    }
}
