//! The boot bucket.

use super::PortError;
use crate::model::{Etag, Md5Sum, ObjectIndex, ObjectKey, Relevant, Source};
use std::future::Future;

/// The boot bucket.
pub trait S3Port: 'static {
    /// Every key of the bucket that is relevant: all pages have been read, to the last.
    fn list(&self, relevant: &Relevant) -> impl Future<Output = Result<ObjectIndex, S3Error>>;

    /// The whole object as it was listed under this ETag, at most `limit` bytes.
    fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64)
    -> impl Future<Output = Result<Vec<u8>, S3Error>>;

    /// Whether this very object is in the bucket; `false` only if S3 itself said so (R2). No listing is asked.
    fn is_there(&self, key: &ObjectKey) -> impl Future<Output = Result<bool, S3Error>>;

    /// MD5 (32 lower hex digits) of the whole object as it was listed under this ETag; read slowly, may take minutes.
    fn md5(&self, key: &ObjectKey, etag: &Etag) -> impl Future<Output = Result<Md5Sum, S3Error>>;
}

/// Why S3 gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// No usable credentials in the file.
    #[error("credential file {path} {problem}")]
    Credentials {
        /// The file.
        path: String,
        /// What is wrong, and the remedy; never the content.
        problem: String,
    },
    /// 401 or 403.
    #[error("{what} was denied")]
    Denied {
        /// What was asked.
        what: String,
        /// What S3 said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object is not there, or no longer under this ETag.
    #[error("{what} is not there any more")]
    Gone {
        /// What was asked.
        what: String,
    },
    /// No answer in time.
    #[error("{what} did not end within its deadline")]
    Timeout {
        /// What was asked.
        what: String,
    },
    /// The continuation token is missing or did not advance: the listing cannot be believed.
    #[error("{what}: page {page} does not advance: {problem}")]
    Looping {
        /// What was asked.
        what: String,
        /// Which page, from 1.
        page: u32,
        /// How it shows.
        problem: &'static str,
    },
    /// More bytes than allowed.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked.
        what: String,
        /// Bytes.
        limit: u64,
    },
    /// Everything else: connection, TLS, a status, a body that is no S3 answer.
    #[error("{what} failed")]
    Failed {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl PortError for S3Error {
    const SOURCE: Source = Source::S3;

    fn kind(&self) -> &'static str {
        match self {
            S3Error::Credentials { .. } => "credentials",
            S3Error::Denied { .. } => "denied",
            S3Error::Gone { .. } => "gone",
            S3Error::Timeout { .. } => "timeout",
            S3Error::Looping { .. } => "looping",
            S3Error::TooLarge { .. } => "too_large",
            S3Error::Failed { .. } => "failed",
        }
    }
}
