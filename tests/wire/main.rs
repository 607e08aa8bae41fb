//! The adapters against real servers in this process, on the real wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ims;
mod s3;
mod site;
mod tls;
