//! The outside of sbps-marshal: it implements the ports of the inside (`actors`) and decides nothing.

pub mod config;
pub mod ims;
pub mod mount;
pub mod s3;
pub mod tls;
pub mod token;
