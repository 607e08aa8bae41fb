//! The values that everyone uses: no decisions, no I/O, nothing that waits.

mod boot;
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
pub use identity::{Identity, NAME_DIGITS, WWN_DIGITS, allocate};
pub use image::{Kind, Projection};
pub use lio::{Actual, Backstore, Inventory, LunEntry, Saved, Tpg};
pub use mount::{FileFacts, MountFacts};
pub use object::{Etag, ObjectIndex, ObjectKey, ObjectMeta, Relevant, S3Path};
pub use report::{Failure, Report, SaveOutcome};
pub use site::{Ours, SavedBackstore, recognise, recognise_live, saved_luns, saved_ours};
pub use step::Step;
pub use unknown::{Cause, Snapshot, Source};
pub use word::{LONGEST_WORD, Word, WordError};
