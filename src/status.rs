//! What is known of this node, for operators and for programs.

pub mod document;
mod offline;
mod projections;

pub use document::Document;
pub use offline::{StatusError, document_now};
