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

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// The same so many cases each time, so that the gate is no lottery; PROPTEST_RNG_SEED and PROPTEST_CASES look further.
#[allow(clippy::disallowed_methods, reason = "a test's own settings, not the agent's")]
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES").or(std::env::var_os("PROPTEST_RNG_SEED")) {
        Some(_) => default,
        None => ProptestConfig { cases, rng_seed: RngSeed::Fixed(2026), ..default },
    }
}
