//! The inside of sbps-marshal.
pub mod identity;
pub mod model;
pub mod ports;
pub mod squashfs;
pub mod word;
