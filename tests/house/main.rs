//! The rules of the house: how the sources may depend on each other, and that the documents say what is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod documents;
mod storeys;
