//! Every decision of the agent. Values in, values out: nothing here asks, waits, logs or knows an actor.

pub mod aftermath;
pub mod cadence;
pub mod conditions;
pub mod desired;
pub mod evidence;
pub mod history;
pub mod images;
pub mod listing;
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
