//! What is known of this node, for operators and for programs.

pub mod document;

pub use document::Document;
