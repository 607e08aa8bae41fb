//! What cannot be given, and why.

use super::find::LocateError;
use super::volume::LAST_LUN;
use serde::Serialize;

/// Why a form of an image cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody can log in to it.
    #[error("it is no LUN now: it is {state}{}", reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default())]
    NoLun {
        /// As in the status.
        state: String,
        /// As in the status.
        reason: Option<String>,
    },
    /// A consumer has to be told an address.
    #[error("the target has no portal that names an address, only {portals:?}")]
    NoPortal {
        /// Those that it has.
        portals: Vec<String>,
    },
    /// The API server refuses it, too.
    #[error(
        "LUN {lun} is above {LAST_LUN}, the last that Kubernetes takes. Set lio.last_lun = {LAST_LUN}: new LUNs then get a \
         number that it takes. This one keeps its number while it is a LUN; untag the image, and tag it again once \
         lio.quarantine is over"
    )]
    LunTooHigh {
        /// Its number.
        lun: u16,
    },
    /// A name that device-mapper would write differently, or not at all: who waits for it would wait for ever.
    #[error(
        "{alias:?} is no name for device-mapper, which takes 1 to 127 of A-Z a-z 0-9 # + - . : = @ _: rename the object"
    )]
    Alias {
        /// What it would be.
        alias: String,
    },
    /// It would end the word, or the line.
    #[error("{word:?} cannot stand in a kernel command line, which takes no spaces and no quotes in a word")]
    Word {
        /// Which.
        word: String,
    },
}

/// A form of an image, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Offer<T> {
    /// It.
    Given(T),
    /// Why not.
    Refused {
        /// For a person, with the remedy.
        refused: String,
        /// The same as a value.
        #[serde(skip)]
        refusal: Refusal,
    },
}

impl<T> From<Result<T, Refusal>> for Offer<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(given) => Offer::Given(given),
            Err(refusal) => Offer::Refused { refused: refusal.to_string(), refusal },
        }
    }
}

impl<T> Offer<T> {
    /// It, or an error that says what of.
    pub fn given(&self, what: &'static str) -> Result<&T, LocateError> {
        match self {
            Offer::Given(given) => Ok(given),
            Offer::Refused { refusal, .. } => Err(LocateError::Refused { what, refusal: refusal.clone() }),
        }
    }
}
