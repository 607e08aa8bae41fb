//! The values that everyone uses, and the one test of what is ours (R1): no other decisions, no I/O, nothing that waits.

mod boot;
mod condition;
mod identity;
mod image;
mod lio;
mod mount;
mod object;
mod report;
mod site;
mod step;
mod unknown;
mod word;

pub use boot::Boot;
pub use condition::{Condition, ConditionType, Subject};
pub use identity::{Identity, NAME_DIGITS, RootfsLink, WWN_DIGITS};
pub use image::{ImageId, ImageRef, Kind, Projection};
pub use lio::{
    AclMapping, Actual, Backstore, BackstoreEntry, BareLun, FILEIO, Inventory, LunEntry, OPENED, Saved, Tpg,
    TpgPath, Traffic,
};
pub use mount::{FileFacts, MountFacts};
pub use object::{Etag, Md5Sum, ObjectIndex, ObjectKey, ObjectMeta, ObjectVersion, Relevant, S3Path};
pub use report::{Failure, Report, SaveOutcome};
pub use site::{Ours, Site};
pub use step::{Engine, Request, Step};
pub use unknown::{Cause, Snapshot, Source, chain, with_causes};
pub use word::{LONGEST_WORD, Word, WordError};
