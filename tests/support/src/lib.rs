//! The other ends of the wire: servers and scripted peers for the wire tests, and the node of the VM tests.

pub mod canned;
pub mod configfs;
pub mod fuzz;
pub mod log;
pub mod node;
pub mod s3;
pub mod spire;
pub mod targetclid;
pub mod targetclid_tree;
pub mod tls;
pub mod workload_api;
