//! Configuration: layers of TOML and environment, validated into [`Settings`].

mod settings;

pub use settings::*;
