//! The outside, as the inside sees it: one trait per party, at most five methods, comments state what holds
//! afterwards. Every call ends: whoever implements a port gives each step a deadline (R14).

mod history;
mod identity;
mod ims;
mod lio;
mod mount;
mod s3;

pub use history::{HistoryError, HistoryPort};
pub use identity::IdentityError;
pub use ims::{ImsError, ImsPort, Token, TokenError, TokenPort};
pub use lio::{LioError, LioPort, Rest};
pub use mount::{Examined, MountError, MountPort};
pub use s3::{S3Error, S3Port};

use crate::model::{Cause, Source, with_causes};

/// An error of a source: it makes that source unknown, and no other one.
pub trait PortError: std::error::Error + 'static {
    /// Whose error it is.
    const SOURCE: Source;

    /// Short, from a bounded set.
    fn kind(&self) -> &'static str;
}

impl<E: PortError> From<&E> for Cause {
    fn from(error: &E) -> Self {
        Cause { source_name: E::SOURCE, kind: error.kind(), detail: with_causes(error) }
    }
}
