//! Objects of the boot bucket.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Key of an S3 object. Untrusted: whoever may write to the bucket chooses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Takes any text.
    pub fn new(key: impl Into<String>) -> Self {
        ObjectKey(key.into())
    }

    /// The key as S3 has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// First path segment: of `<image id>/rootfs` the image id.
    pub fn folder(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Whether its path stays where it begins: every segment is a name, none is empty, `.` or `..` (R8).
    pub fn is_plain(&self) -> bool {
        !self.0.contains('\0') && self.0.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// ETag of an S3 object, without its quotes; `...-131` when it was uploaded in 131 parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Etag(String);

impl Etag {
    /// Takes the header's or the listing's form, quotes or not.
    pub fn new(raw: &str) -> Self {
        Etag(raw.trim_matches('"').to_owned())
    }

    /// As a manifest has it: letter by letter, as its identity is made of it.
    pub fn verbatim(text: impl Into<String>) -> Self {
        Etag(text.into())
    }

    /// The bare tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Bytes.
    pub size: u64,
    /// Changes whenever the content does.
    pub etag: Etag,
    /// When it was written, by S3, since 1970; zero if S3 does not say.
    pub modified: Duration,
}

/// An object as it was under one ETag: unchanged ETag, unchanged content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectVersion {
    /// Its key.
    pub key: ObjectKey,
    /// Its ETag.
    pub etag: Etag,
}

/// As it is stored: `key etag`. An ETag has no space.
impl From<ObjectVersion> for String {
    fn from(version: ObjectVersion) -> String {
        format!("{} {}", version.key, version.etag.as_str())
    }
}

impl TryFrom<String> for ObjectVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (key, etag) = text.rsplit_once(' ').ok_or_else(|| format!("{text:?} is no key and ETag"))?;
        Ok(ObjectVersion { key: ObjectKey::new(key), etag: Etag::new(etag) })
    }
}

/// MD5 of the content of an object: 32 hex digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Md5Sum(String);

impl Md5Sum {
    /// `None` if it is no MD5: what a manifest says may be anything.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Md5Sum(text))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of these bytes of a digest.
    pub fn of_digest(digest: [u8; 16]) -> Self {
        Md5Sum(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The relevant part of a complete listing of the boot bucket.
pub type ObjectIndex = BTreeMap<ObjectKey, ObjectMeta>;

/// Which keys of the bucket a pass needs: memory grows with this, not with the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relevant {
    /// Everything that starts so (`PE/`).
    pub prefix: String,
    /// Everything whose first path segment is one of these (ids of tagged images).
    pub folders: BTreeSet<String>,
    /// And these (files of live backstores, artifacts that manifests name).
    pub keys: BTreeSet<ObjectKey>,
}

impl Relevant {
    /// Whether a listing keeps this key.
    pub fn wants(&self, key: &str) -> bool {
        let folder = key.split('/').next().unwrap_or_default();
        (!self.prefix.is_empty() && key.starts_with(&self.prefix))
            || self.folders.contains(folder)
            || self.keys.contains(&ObjectKey::new(key))
    }
}

/// `s3://bucket/key`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Path {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: ObjectKey,
}

impl S3Path {
    /// `None` unless it is `s3://`, a bucket, `/`, and a key.
    pub fn parse(path: &str) -> Option<Self> {
        let (bucket, key) = path.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty())
            .then(|| S3Path { bucket: bucket.to_owned(), key: ObjectKey::new(key) })
    }
}
