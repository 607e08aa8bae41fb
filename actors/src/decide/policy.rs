//! The settings that decide.

use crate::decide::in_use::UseRule;
use crate::decide::removals::Limits;
use crate::model::{Engine, Site};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The boot bucket and its mount.
    pub site: Site,
    /// Whether only tagged images are projected.
    pub tagging: bool,
    /// Which objects are PE images.
    pub pe: PeRules,
    /// How removals are limited.
    pub limits: Limits,
    /// When a LUN is in use (R4).
    pub in_use: UseRule,
    /// Numbers for new LUNs.
    pub luns: RangeInclusive<u16>,
    /// How long a freed number is kept from others (R5).
    pub quarantine: Duration,
    /// Who carries changes out.
    pub engine: Engine,
    /// Whether an object whose ETag is not its manifest's may be proven by its MD5.
    pub verify_md5: bool,
}

/// Which objects are PE images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeRules {
    /// PE images' keys start so (`PE/`).
    pub prefix: String,
    /// ... and end so; empty: all.
    pub suffix: String,
    /// What happens to the LUN of an object that was replaced under its key (R6).
    pub on_change: OnChange,
}

/// What happens to the LUN of an object that was replaced under its key (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// It stays, until an operator confirms that it is replaced.
    Hold,
    /// It is replaced.
    Replace,
}
