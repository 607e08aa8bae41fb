//! The settings that decide.

use crate::decide::removals::Limits;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The boot bucket.
    pub bucket: String,
    /// Its mount point.
    pub mount: String,
    /// How removals are limited.
    pub limits: Limits,
    /// Numbers for new LUNs.
    pub luns: RangeInclusive<u16>,
    /// Whether an object whose ETag is not its manifest's may be proven by its MD5.
    pub verify_md5: bool,
}

/// What a pass goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether only tagged images are projected.
    pub tagging: bool,
    /// PE images' keys start so.
    pub pe_prefix: String,
    /// The settings that decide.
    pub policy: Policy,
    /// LIO has hung if it takes longer over one step.
    pub patience: Duration,
    /// For all manifests of a pass, and again for all objects that are asked about one by one.
    pub objects_within: Duration,
}
