//! The adapters against real servers and sockets in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acls;
mod daemon;
mod direct;
mod identity;
mod ims;
mod object;
mod s3;
mod site;
mod targetclid;
mod tls;
mod turn;
