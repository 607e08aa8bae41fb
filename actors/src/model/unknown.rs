//! What a source answers, or why it does not.

use std::error::Error;
use std::fmt;
use std::iter::successors;

/// A party whose answer a pass needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The image management service.
    Ims,
    /// The boot bucket.
    S3,
    /// The s3fs mount.
    Mount,
    /// Linux LIO: configfs and targetclid.
    Lio,
}

impl Source {
    /// All of them, in the order in which a pass asks.
    pub const ALL: [Source; 4] = [Source::Ims, Source::S3, Source::Mount, Source::Lio];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Ims => "ims",
            Source::S3 => "s3",
            Source::Mount => "mount",
            Source::Lio => "lio",
        })
    }
}

/// Why something is not known. An error is never an empty answer (R2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {kind}: {detail}")]
pub struct Cause {
    /// Who did not answer.
    pub source_name: Source,
    /// Short and from a bounded set: usable as a metric label.
    pub kind: &'static str,
    /// The whole chain of errors, for a person.
    pub detail: String,
}

/// The error and what caused it, to the last.
pub fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error| (**error).source())
}

/// An error with its causes in one text, for a person: the last cause is what an operator needs.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a source answers: a list that may be acted on, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot<T> {
    /// A complete answer.
    Known(T),
    /// No answer. Not the same as an empty one.
    Unknown(Cause),
}

impl<T> Snapshot<T> {
    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Snapshot::Known(value) => Some(value),
            Snapshot::Unknown(_) => None,
        }
    }

    /// The cause, if there is no answer.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Snapshot::Known(_) => None,
            Snapshot::Unknown(cause) => Some(cause),
        }
    }
}
