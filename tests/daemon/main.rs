//! The program itself, on any machine: its signals, its reloads, its lock, its exit codes. Nothing of a site answers;
//! what it does with one is tested inside the VM (tests/lio).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod check;
mod control;
mod credentials;
mod log;
mod reload;
mod signals;
