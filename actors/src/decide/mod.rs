//! Every decision of the agent. Values in, values out: nothing here asks, waits, logs or knows an actor.
//!
//! | question | file |
//! |---|---|
//! | what IMS says, what a manifest names, whether a file is an image | [`images`], [`manifest`], [`squashfs`] |
//! | what S3 has to be asked, which files have to be read, when the mount is left alone | [`listing`], [`live`], [`inspection`] |
//! | what should be projected (R7..R9) | [`desired`], [`pe_rules`], [`reason`] |
//! | on what evidence a projection goes (R2) | [`evidence`], [`withdrawal`] |
//! | whether it may go now (R1..R3) | [`removals`] |
//! | what is done, in which order, under which number (R5, R10) | [`plan`] |
//! | whether a file is the same just before its LUN (R7, R8), whether a step has had its effect | [`last_look`], [`effect`] |
//! | how far targetclid is trusted, what waits for targetcli's lock (R13), under which number a node ACL sees a LUN | [`daemon`], [`lock`], [`acl_number`] |
//! | whether saveconfig.json is written, and what it may forget (R11) | [`save`], [`witness`] |
//! | what is remembered | [`history`], [`aftermath`] |
//! | what is told, and when the next pass comes | [`conditions`], [`transitions`], [`status`], [`cadence`] |
//! | how often others are asked again, and how long a pass waits for them (R14) | [`retry`] |

pub mod acl_number;
pub(crate) mod aftermath;
pub mod cadence;
pub mod check;
pub mod code;
pub(crate) mod conditions;
pub(crate) mod daemon;
pub mod desired;
pub(crate) mod effect;
pub mod evidence;
pub mod history;
pub mod images;
pub mod in_use;
pub(crate) mod inspection;
pub(crate) mod last_look;
pub(crate) mod listing;
pub mod live;
pub(crate) mod lock;
pub mod manifest;
pub mod pe_rules;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod removals;
pub mod retry;
#[cfg(test)]
pub(crate) mod sample;
pub mod save;
pub mod squashfs;
pub mod status;
pub(crate) mod transitions;
pub mod withdrawal;
pub(crate) mod witness;
