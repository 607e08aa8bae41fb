//! What is known of this node, for operators and for programs.

pub mod document;
mod live;
mod offline;
mod projections;
mod table;

pub use document::Document;
pub use live::{Known, document, epoch_in};
pub use offline::{StatusError, without_agent};
pub use table::table;
