//! The agent on a real kernel: LIO, targetclid, s3fs, an S3 server, systemd and open-iscsi, in the throw-away VM.
//! Run by `make test` and `make demo`; every test begins by resetting the VM's site, so they run one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acls;
mod adapter;
mod bad_input;
mod busy;
mod check;
mod day;
mod demo;
mod engine;
mod foreign;
mod half_made;
mod in_use;
mod killed;
mod locate;
mod logs;
mod mount;
mod order;
mod polite;
mod removals;
mod replaced;
mod s3_servers;
mod s3fs;
mod saved;
mod session;
mod spire;
mod stop;
mod takeover;
mod unit;
mod watchdog;
