//! The outside, as the inside sees it: one trait per party, at most five methods, comments state what holds
//! afterwards. Every call ends: whoever implements a port gives each step a deadline (R14).

use crate::model::{Actual, Backstore, Etag, LunEntry, ObjectIndex, ObjectKey, Relevant, Step};
use crate::word::Word;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes the bare token.
    pub fn new(text: impl Into<String>) -> Self {
        Token(text.into())
    }

    /// For the Authorization header only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where bearer tokens come from.
pub trait TokenPort: 'static {
    /// A token that is valid now, or `None` where the site uses none. With `renew`, not the one handed out last:
    /// that one was refused.
    fn token(&self, renew: bool) -> impl Future<Output = Result<Option<Token>, TokenError>>;
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("token file {path} cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no token.
    #[error("token file {path} {problem}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl TokenError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        "token"
    }
}

/// The image management service.
pub trait ImsPort: 'static {
    /// The whole list of images, each record as IMS gave it. An empty list means that IMS said `[]`.
    fn list_images(
        &self,
        token: Option<&Token>,
    ) -> impl Future<Output = Result<Vec<serde_json::Value>, ImsError>>;
}

/// Why IMS gave no list.
#[derive(Debug, thiserror::Error)]
pub enum ImsError {
    /// 401 or 403: the token is not, or no longer, good.
    #[error("{url} answered {status}: the token was refused")]
    Unauthorized {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Any other status than 200.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("{url} did not answer within its deadline")]
    Timeout {
        /// What was asked.
        url: String,
        /// Where it hung.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No connection: name, route, port or TLS.
    #[error("{url} cannot be reached")]
    Connect {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that is no JSON array, or one that broke off.
    #[error("{url} answered something that is no list of images")]
    Body {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ImsError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            ImsError::Unauthorized { .. } => "unauthorized",
            ImsError::Status { .. } => "status",
            ImsError::Timeout { .. } => "timeout",
            ImsError::Connect { .. } => "connect",
            ImsError::Body { .. } => "body",
        }
    }
}

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
    fn md5(&self, key: &ObjectKey, etag: &Etag) -> impl Future<Output = Result<String, S3Error>>;
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

impl S3Error {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
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

/// What an open file of the mount says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes, by fstat.
    pub size: u64,
    /// Its first bytes, at most [`crate::squashfs::SUPERBLOCK_BYTES`].
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

impl MountError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
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

/// Linux LIO: configfs to read, targetclid to change. Called on a thread of its own, so it may block.
pub trait LioPort: 'static {
    /// Everything, read from configfs and saveconfig.json; targetclid is not asked.
    fn observe(&mut self) -> Result<Actual, LioError>;

    /// One fileio backstore, read from configfs; `None` if there is none of this name.
    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError>;

    /// One LUN of our TPG, read from configfs; `None` if there is none of this number.
    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError>;

    /// The daemon has answered the command; its text comes back for the log. It proves nothing: look again.
    fn apply(&mut self, step: &Step) -> Result<String, LioError>;

    /// The session, if there is one, has been ended politely, and other clients are served.
    fn end_session(&mut self);
}

/// Why LIO could not be read or told.
#[derive(Debug, thiserror::Error)]
pub enum LioError {
    /// configfs cannot be read.
    #[error("{path} cannot be read")]
    Configfs {
        /// The file or folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be connected.
    #[error("targetclid's socket {path} cannot be connected")]
    Connect {
        /// The socket.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The daemon did not answer in time.
    #[error("targetclid did not answer {command:?} within {seconds} s")]
    Timeout {
        /// The command.
        command: String,
        /// The deadline.
        seconds: u64,
    },
    /// The daemon serves another client, or plain targetcli holds its lock.
    #[error("{holder} is in the way: {command:?} was not possible within {seconds} s")]
    Busy {
        /// The command.
        command: String,
        /// Who holds it: `pid 4711 (targetcli ...)`, or `another client`.
        holder: String,
        /// The deadline.
        seconds: u64,
    },
    /// The session broke, or is out of step: it has been dropped.
    #[error("the session with targetclid broke at {command:?}: {problem}")]
    Session {
        /// The command.
        command: String,
        /// How it shows.
        problem: String,
    },
    /// The command is longer than one request may be.
    #[error("the command has {length} bytes, a request at most {limit}")]
    TooLong {
        /// Bytes.
        length: usize,
        /// Bytes.
        limit: usize,
    },
}

impl LioError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            LioError::Configfs { .. } => "configfs",
            LioError::Connect { .. } => "connect",
            LioError::Timeout { .. } => "timeout",
            LioError::Busy { .. } => "busy",
            LioError::Session { .. } => "session",
            LioError::TooLong { .. } => "too_long",
        }
    }
}

/// What is remembered on disk over a restart, and the clock that its times are of.
pub trait HistoryPort: 'static {
    /// What was stored last; `None` if nothing ever was.
    fn load(&self) -> impl Future<Output = Result<Option<Vec<u8>>, HistoryError>>;

    /// It is stored, whole or not at all.
    fn store(&self, bytes: Vec<u8>) -> impl Future<Output = Result<(), HistoryError>>;

    /// This boot of the node: a name of its own (`/proc/sys/kernel/random/boot_id`), and how long ago it was
    /// (CLOCK_BOOTTIME).
    fn boot(&self) -> Boot;
}

/// A boot of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// No other boot has it.
    pub id: String,
    /// Time since then.
    pub since: Duration,
}

/// Why nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file or its folder.
    #[error("{path} cannot be {done}")]
    Io {
        /// The file.
        path: String,
        /// `read` or `written`.
        done: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than any history of ours: it is not read.
    #[error("{path} has {size} bytes: that is no history of ours")]
    TooLarge {
        /// The file.
        path: String,
        /// Bytes.
        size: u64,
    },
}

impl HistoryError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            HistoryError::Io { .. } => "history_io",
            HistoryError::TooLarge { .. } => "history_too_large",
        }
    }
}
