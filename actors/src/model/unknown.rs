//! What a source answers, or why it does not.

use std::fmt;

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

impl Cause {
    /// Of an error of a port: its bounded kind and its chain, one cause after the other.
    pub fn new(source_name: Source, kind: &'static str, error: &dyn std::error::Error) -> Self {
        Cause { source_name, kind, detail: with_causes(error) }
    }
}

/// An error with its causes, one after the other, for a person.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut detail = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        detail = format!("{detail}: {cause}");
        next = cause.source();
    }
    detail
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
