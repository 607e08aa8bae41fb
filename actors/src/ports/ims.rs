//! The image management service, and where tokens for it come from.

use super::{IdentityError, PortError};
use crate::model::Source;
use std::fmt;
use std::future::Future;

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
    /// SPIRE gives none.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl PortError for TokenError {
    const SOURCE: Source = Source::Ims;

    fn kind(&self) -> &'static str {
        match self {
            TokenError::File { .. } | TokenError::Content { .. } => "token",
            TokenError::Identity(error) => error.kind(),
        }
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

impl PortError for ImsError {
    const SOURCE: Source = Source::Ims;

    fn kind(&self) -> &'static str {
        match self {
            ImsError::Unauthorized { .. } => "unauthorized",
            ImsError::Status { .. } => "status",
            ImsError::Timeout { .. } => "timeout",
            ImsError::Connect { .. } => "connect",
            ImsError::Body { .. } => "body",
        }
    }
}
