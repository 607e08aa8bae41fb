//! Servers and scripted peers that the wire tests, and the site of the VM tests, are made of.

pub mod canned;
pub mod s3;
pub mod tls;
