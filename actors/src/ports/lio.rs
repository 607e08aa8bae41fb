//! Linux LIO.

use super::PortError;
use crate::model::{Actual, Backstore, LunEntry, Request, Source, Word};

/// Linux LIO: configfs to read; targetclid, or configfs itself, to change. Called on a thread of its own, so it may block.
pub trait LioPort: 'static {
    /// Everything, read from configfs and saveconfig.json; targetclid is not asked.
    fn observe(&mut self) -> Result<Actual, LioError>;

    /// One fileio backstore, read from configfs; `None` if there is none of this name.
    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError>;

    /// One LUN of our TPG, read from configfs; `None` if there is none of this number.
    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError>;

    /// The daemon has answered the request, or it has been written; what there is to say comes back for the log. It proves
    /// nothing: look again.
    fn apply(&mut self, request: &Request) -> Result<String, LioError>;

    /// Nothing more is asked for now.
    fn rest(&mut self, rest: Rest);
}

/// For how long nothing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A pass has ended. The session, if there is one, stays open as long as nobody else wants the daemon; whoever wants it
    /// is served at once (R13). What was waited for in vain may be waited for again.
    UntilNextPass,
    /// Nothing more will be asked for: the session, if there is one, has been ended politely.
    ForGood,
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
    /// configfs cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// The file or folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of a backstore is not one that the kernel may be given.
    #[error("{file} was not given to the kernel: {problem}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
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
    /// The daemon serves another client.
    #[error("{holder} blocks targetclid: {command:?} could not be sent within {seconds} s")]
    Busy {
        /// The command.
        command: String,
        /// Who holds it: `pid 4711 (targetcli ...)`, or `another client`.
        holder: String,
        /// The deadline.
        seconds: u64,
    },
    /// Plain targetcli has its lock.
    #[error("{holder} holds targetcli's lock {path}: {command:?} could not be sent within {seconds} s")]
    Locked {
        /// The command.
        command: String,
        /// The lock's file.
        path: String,
        /// Who holds it: `pid 4711 (targetcli ...)`, or `another client`.
        holder: String,
        /// How long it is waited for in one pass.
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
    /// Whether the daemon did not answer, or the mount gave no file: another command may fare no better.
    pub fn may_be_of_all(&self) -> bool {
        use LioError::{Connect, File, Session, Timeout};
        matches!(self, Connect { .. } | File { .. } | Session { .. } | Timeout { .. })
    }
}

impl PortError for LioError {
    const SOURCE: Source = Source::Lio;

    fn kind(&self) -> &'static str {
        match self {
            LioError::Configfs { .. } => "configfs",
            LioError::Write { .. } => "configfs_write",
            LioError::File { .. } => "file",
            LioError::Connect { .. } => "connect",
            LioError::Timeout { .. } => "timeout",
            LioError::Busy { .. } => "busy",
            LioError::Locked { .. } => "locked",
            LioError::Session { .. } => "session",
            LioError::TooLong { .. } => "too_long",
        }
    }
}
