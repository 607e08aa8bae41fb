//! The outside of sbps-marshal: it implements the ports of the inside (`actors`) and decides nothing.

pub mod config;
pub mod configfs;
pub mod lio;
pub mod saveconfig;
pub mod targetclid;
