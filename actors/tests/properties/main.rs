//! The rules over generated worlds (`pure`: the decisions alone) and generated histories (`history`: a simulated site
//! with all five actors alive).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod event;
mod history;
mod oracle;
mod pure;
mod world;
