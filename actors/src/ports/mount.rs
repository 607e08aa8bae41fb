//! The s3fs mount.

use super::PortError;
use crate::model::{FileFacts, MountFacts, ObjectKey, Source};
use std::collections::BTreeMap;
use std::future::Future;

/// What [`MountPort::examine`] found: per file its size (bytes), or why it may not be served.
pub type Examined = BTreeMap<ObjectKey, Result<u64, MountError>>;

/// The s3fs mount.
pub trait MountPort: 'static {
    /// The mount is there, of the right type, and answers.
    fn check(&self) -> impl Future<Output = Result<MountFacts, MountError>>;

    /// Size and first bytes of the regular file that the key is, opened beneath the mount with no symlink, no `..`
    /// and no mount crossed on the way (R8).
    fn inspect(&self, key: &ObjectKey) -> impl Future<Output = Result<FileFacts, MountError>>;

    /// The same of files that are live, without opening or reading them: each is a regular file beneath the mount, of
    /// this size. A file that is not in the answer was not reached in time; an error is one of the mount as a whole.
    fn examine(&self, keys: Vec<ObjectKey>) -> impl Future<Output = Result<Examined, MountError>>;
}

/// Why the mount gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Nothing is mounted there.
    #[error("nothing is mounted at {path}")]
    NotMounted {
        /// The mount point.
        path: String,
    },
    /// Something else is mounted there.
    #[error("{path} is a {found} mount, not {wanted}")]
    WrongType {
        /// The mount point.
        path: String,
        /// Its type.
        found: String,
        /// The type that was configured.
        wanted: String,
    },
    /// It did not answer in time, or an earlier question still hangs.
    #[error("the mount did not answer within its deadline: {what}")]
    Hung {
        /// What was asked.
        what: String,
    },
    /// The mount's own failure: ENOTCONN, EIO and the like.
    #[error("the mount failed: {what}")]
    Dead {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The mount refuses or fails this one file; whether it is the mount's own failure, [`MountPort::check`] tells.
    #[error("the mount refuses {key}")]
    Refused {
        /// The file.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// This file is not there (yet).
    #[error("{key} is not there")]
    Absent {
        /// The file.
        key: String,
    },
    /// This path leads out of the mount: a symlink, `..`, another mount.
    #[error("{key} leads out of the mount")]
    Escape {
        /// The file.
        key: String,
    },
    /// This is no regular file.
    #[error("{key} is not a regular file")]
    NotRegular {
        /// The file.
        key: String,
    },
}

impl PortError for MountError {
    const SOURCE: Source = Source::Mount;

    fn kind(&self) -> &'static str {
        match self {
            MountError::NotMounted { .. } => "not_mounted",
            MountError::WrongType { .. } => "wrong_type",
            MountError::Hung { .. } => "hung",
            MountError::Dead { .. } => "dead",
            MountError::Refused { .. } => "refused",
            MountError::Absent { .. } => "absent",
            MountError::Escape { .. } => "escape",
            MountError::NotRegular { .. } => "not_regular",
        }
    }
}
