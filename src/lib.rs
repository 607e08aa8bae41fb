//! The outside of sbps-marshal: it implements the ports of the inside (`actors`) and decides nothing.

pub mod aside;
pub mod boot;
pub mod causes;
pub mod changes;
mod check;
pub mod cli;
mod compare;
pub mod config;
pub mod configfs;
pub mod control;
pub mod exposure;
pub mod files;
mod flock;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod history;
pub mod identity;
pub mod ims;
pub mod lio;
pub mod locate;
pub mod lock;
pub mod metrics;
pub mod mount;
pub mod notify;
mod operate;
mod plain;
pub mod plan_output;
pub mod run;
pub mod s3;
pub mod saveconfig;
pub mod status;
pub mod targetclid;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod version;
