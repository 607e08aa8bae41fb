//! Why an image is withdrawn.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an image is gone: the evidence for a withdrawal. There is none while a source that it needs does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// The listing is complete without the object, and S3, asked about its very key, says that it is not there.
    ObjectGone,
    /// IMS answered, and the image is not tagged.
    Untagged,
    /// IMS answered, and there is no such image.
    ImageGone,
    /// The image is there, and another root file system, which its manifest names now, can be projected.
    Superseded,
    /// S3 answered, and the PE rules do not choose this object any more.
    NotSelected,
    /// Its file leads out of the mount: it exports something else. An operator has to confirm it.
    Escaped,
    /// The object was replaced under its key: it comes back as what it is now (R6).
    Replaced,
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Withdrawal::ObjectGone => "object_gone",
            Withdrawal::Untagged => "untagged",
            Withdrawal::ImageGone => "image_gone",
            Withdrawal::Superseded => "superseded",
            Withdrawal::NotSelected => "not_selected",
            Withdrawal::Escaped => "escaped",
            Withdrawal::Replaced => "replaced",
        })
    }
}
