//! Every decision of the agent. Values in, values out: nothing here asks, waits, logs or knows an actor.
//!
//! | question | file |
//! |---|---|
//! | what IMS says, what a manifest names, whether a file is an image | [`images`], [`manifest`], [`squashfs`] |
//! | what S3 has to be asked, which files have to be read | [`listing`], [`live`] |
//! | what should be projected (R7..R9) | [`desired`], [`pe_rules`], [`reason`] |
//! | on what evidence a projection goes (R2) | [`evidence`], [`withdrawal`] |
//! | whether it may go now (R1..R3) | [`removals`] |
//! | what is done, in which order, under which number (R5, R10) | [`plan`] |
//! | whether saveconfig.json is written (R11) | [`save`] |
//! | what is remembered | [`history`], [`aftermath`] |
//! | what is told, and when the next pass comes | [`conditions`], [`status`], [`cadence`] |

pub(crate) mod aftermath;
pub mod cadence;
pub(crate) mod conditions;
pub mod desired;
pub(crate) mod evidence;
pub mod history;
pub mod images;
pub(crate) mod listing;
pub mod live;
pub mod manifest;
pub mod pe_rules;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod removals;
pub mod save;
pub mod squashfs;
pub mod status;
pub mod withdrawal;
