//! Images: what an operator calls them, and how they are projected.

use super::identity::Identity;
use super::object::{Etag, ObjectKey};
use super::word::Word;
use serde::{Deserialize, Serialize};
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

/// Id of an IMS image. Whatever IMS says; mostly a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    /// Takes any text.
    pub fn new(id: impl Into<String>) -> Self {
        ImageId(id.into())
    }

    /// The id as IMS has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which image, by the name that an operator knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageRef {
    /// Root file system of this IMS image.
    Rootfs(ImageId),
    /// PE image of this key.
    Pe(ObjectKey),
}

impl ImageRef {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            ImageRef::Rootfs(_) => Kind::Rootfs,
            ImageRef::Pe(_) => Kind::Pe,
        }
    }

    /// The id of an IMS image.
    pub fn id(&self) -> Option<&ImageId> {
        match self {
            ImageRef::Rootfs(id) => Some(id),
            ImageRef::Pe(_) => None,
        }
    }

    /// The id, or the key.
    pub fn as_str(&self) -> &str {
        match self {
            ImageRef::Rootfs(id) => id.as_str(),
            ImageRef::Pe(key) => key.as_str(),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As it is logged and shown: the bare id or key.
impl Serialize for ImageRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An image that is, or should be, a LUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Which image.
    pub image: ImageRef,
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
