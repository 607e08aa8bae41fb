//! The one door through which the crate in `fuzz/` reaches what is private here. It is there under `--cfg fuzzing` only,
//! which cargo-fuzz sets.

pub use crate::configfs::fuzz as configfs_info;
pub use crate::identity::fuzz as helper_output;
pub use crate::s3::fuzz as credentials;
pub use crate::saveconfig::fuzz as saveconfig;
pub use crate::targetclid::fuzz as targetclid_reply;
