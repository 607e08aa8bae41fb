//! The rules, each on a simulated site with all five actors alive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod breaker;
mod claims;
#[path = "../common/mod.rs"]
mod common;
mod deadlines;
mod evidence;
mod in_use;
mod limits;
mod lio;
mod live;
mod progress;
mod projections;
mod quarantine;
mod removals;
mod replaced;
mod restore;
mod saved;
mod steps;
mod succession;
mod target;

/// Images of the small site.
const UNTAGGED: &str = "00000000-0000-4000-8000-000000000004";
const TAGGED: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";
const PE: &str = "PE/CPE-amd.x86_64-26.11.squashfs";

fn rootfs(id: &str) -> String {
    format!("{id}/rootfs")
}
