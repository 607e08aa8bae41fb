//! The settings that decide.

use crate::decide::removals::Limits;
use crate::model::Site;
use std::ops::RangeInclusive;

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
    /// Numbers for new LUNs.
    pub luns: RangeInclusive<u16>,
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
}
