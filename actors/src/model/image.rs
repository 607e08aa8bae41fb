//! Images, as they are projected.

use super::identity::Identity;
use super::object::{Etag, ObjectKey};
use super::word::Word;
use std::fmt;
use std::time::Duration;

/// The two kinds of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Root file system of an IMS image.
    Rootfs,
    /// Programming Environment image.
    Pe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rootfs => "rootfs",
            Kind::Pe => "pe",
        })
    }
}

/// An image that is, or should be, a LUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Its kind.
    pub kind: Kind,
    /// What an operator calls it: the IMS image id, or the PE key.
    pub label: String,
    /// Who it is to initiators.
    pub identity: Identity,
    /// Its object.
    pub key: ObjectKey,
    /// Its file under the mount.
    pub file: Word,
    /// Bytes, as S3 lists it.
    pub size: u64,
    /// What it holds, as S3 lists it.
    pub etag: Etag,
    /// When it was written, as S3 lists it: since 1970.
    pub modified: Duration,
}
