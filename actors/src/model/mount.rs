//! What the mount says of itself and of a file.

use std::time::Duration;

/// What an open file of the mount says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes, by fstat.
    pub size: u64,
    /// Its first bytes, at most `SUPERBLOCK_BYTES`.
    pub head: Vec<u8>,
    /// Permission bits. An s3fs that is denied an object shows it with size 0 and mode 0.
    pub mode: u32,
}

/// Which mount it is that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountFacts {
    /// `st_dev` of its files: another one after it was mounted again, as long as LIO has files of the old one open.
    pub device: u64,
    /// Since when its daemon has run, since boot; `None` if that cannot be told.
    pub since: Option<Duration>,
}
