//! The rules, each on a simulated site with all five actors alive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod projections;
mod removals;

/// Two images of the small site.
const UNTAGGED: &str = "00000000-0000-4000-8000-000000000004";
const TAGGED: &str = "00000000-0000-4000-8000-000000000001";
