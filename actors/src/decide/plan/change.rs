//! What a plan is made from, and what it is made of.

use crate::decide::desired::Desired;
use crate::decide::live::LiveFiles;
use crate::decide::reason::Reason;
use crate::decide::removals::{Hold, LookTime, Removal};
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Actual, Identity, Kind, Step};

/// Everything that a plan is made of, beside the settings.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// What is.
    pub actual: &'a Actual,
    /// What the mount shows of what is live.
    pub live: &'a LiveFiles,
    /// When all this was seen.
    pub time: LookTime,
}

/// What is to be done about one image. Its steps are done in order; the first that fails ends this change alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which way, and why.
    pub action: Action,
    /// IMS image id, or PE key.
    pub label: String,
    /// Who it is.
    pub identity: Identity,
    /// The LUN number.
    pub lun: Option<u16>,
    /// The number it would have if no other image had come before it.
    pub own_lun: Option<u16>,
    /// Its file.
    pub file: String,
    /// What to tell LIO.
    pub steps: Vec<Step>,
}

/// Which way a change goes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new projection, of this many bytes.
    Project(Kind, u64),
    /// A live one, of this many bytes, made anew under its number: its file belongs to a mount that is gone.
    Remake(Kind, u64),
    /// The end of one.
    Withdraw(Withdrawal),
}

/// A removal that has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub removal: Removal,
    /// IMS image id, or PE key.
    pub label: String,
    /// Why.
    pub hold: Hold,
}

/// An image that is not projected, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its kind.
    pub kind: Kind,
    /// IMS image id, or PE key.
    pub label: String,
    /// Why.
    pub reason: Reason,
}
