//! What is known of this node, for operators and for programs.

pub mod document;
mod live;
mod projections;
mod table;

pub use document::Document;
pub use live::{Known, document, epoch_in};
pub use table::table;
