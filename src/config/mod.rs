//! Configuration, in three stages: each layer is read into a [`fragment`] (only known keys, each value with its
//! origin), the fragments are merged and read into one typed [`input`], and the input is made into [`Settings`].
//!
//! Lowest layer first: built-in defaults, `config.toml`, `conf.d/*.toml` by name, the predecessor's variables,
//! `SBPS_MARSHAL_*`, `--set`. Doubt refuses: an unknown key, an invalid value or an unreadable file is an error, and all
//! of them are told at once. What the keys are is said in one place, [`KEYS`]; the shipped file and the table
//! in docs/configuration.md are rendered from it.

mod errors;
mod fragment;
mod input;
mod keys;
mod render;
mod settings;
mod validate;
mod value_type;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use errors::{ConfigError, ConfigErrors};
pub(crate) use fragment::hostname;
pub use keys::{KEYS, Key};
pub use render::{default_file, markdown_table};
pub use settings::*;

use fragment::{Fragment, flatten};

/// Where the configuration is unless `--config` says otherwise; `conf.d` is beside it.
pub const SYSTEM_FILE: &str = "/etc/sbps-marshal/config.toml";

/// Everything that configuration is read from: a value, so that tests and reload say exactly what is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The main file.
    pub file: PathBuf,
    /// Whether the main file was asked for, so that its absence is an error.
    pub file_required: bool,
    /// Folder of further files; it may be absent.
    pub dir: PathBuf,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// `--set`, in the order given.
    pub flags: Vec<Flag>,
}

/// One `--set section.key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// `section.key`, which may not exist.
    pub key: String,
    /// As text.
    pub value: String,
}

/// A flag that sets nothing.
#[derive(Debug, thiserror::Error)]
#[error("it should be SECTION.KEY=VALUE, such as log.level=debug")]
pub struct FlagError;

impl FromStr for Flag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Flag, FlagError> {
        let (key, value) = text.split_once('=').ok_or(FlagError)?;
        Ok(Flag { key: key.to_owned(), value: value.to_owned() })
    }
}

impl Sources {
    /// The real ones: `--config` or the system's file, `conf.d` beside it, and the environment of this process.
    pub fn system(config: Option<&Path>, flags: Vec<Flag>) -> Sources {
        let file = config.unwrap_or(Path::new(SYSTEM_FILE));
        // Lossy: what is not UTF-8 matters only under a name of ours, and there its check refuses or shows it.
        let env = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Sources {
            file: file.to_owned(),
            file_required: config.is_some(),
            dir: file.with_file_name("conf.d"),
            env,
            flags,
        }
    }
}

/// What [`load`] found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub settings: Settings,
    /// What is not wrong but should be said once at start, one line each.
    pub notes: Vec<String>,
}

/// Reads, merges and checks. Either everything is right, or every problem is told.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut problems = Vec::new();
    let fragments = fragments(sources, &mut problems);
    let layers = ::config::Config::builder();
    let layers = fragments.into_iter().fold(layers, |layers, fragment| layers.add_source(fragment));
    let merged = layers.build().map_err(|error| ConfigErrors(vec![ConfigError::Merge(error)]))?;
    match validate::settings(&flatten(merged.cache), &mut problems) {
        Some(settings) if problems.is_empty() => Ok(Loaded { settings, notes: notes(sources) }),
        _ => Err(ConfigErrors(problems)),
    }
}

/// All layers, lowest first. What cannot be read or is not known is left out and becomes a problem.
fn fragments(sources: &Sources, problems: &mut Vec<ConfigError>) -> Vec<Fragment> {
    let mut fragments = vec![Fragment::defaults()];
    fragments.extend(Fragment::file(&sources.file, sources.file_required, problems));
    for file in fragment::files_in(&sources.dir, problems) {
        fragments.extend(Fragment::file(&file, true, problems));
    }
    problems.extend(Fragment::other_meanings(&sources.env));
    fragments.push(Fragment::predecessor(&sources.env));
    fragments.push(Fragment::environment(&sources.env, problems));
    fragments.push(Fragment::flags(&sources.flags, problems));
    fragments
}

fn notes(sources: &Sources) -> Vec<String> {
    let unused = keys::UNUSED_VARIABLE;
    let set = [unused.to_owned(), fragment::with_prefix(unused)];
    let set = set.into_iter().filter(|name| sources.env.contains_key(name));
    set.map(|name| format!("{name} is accepted and not used: sbps-marshal uses targetclid, not targetcli"))
        .collect()
}

#[cfg(test)]
mod tests;
