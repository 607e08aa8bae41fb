//! The other ends of the wire: scripted peers and recorded worlds.

pub mod configfs;
pub mod targetclid;
