//! Stage one: a layer as it was found. Only known keys, each value with its origin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ::config::{FileFormat, Format, Map, Source, Value, ValueKind};

use super::Flag;
use super::errors::ConfigError;
use super::keys::{KEYS, Key, UNUSED_VARIABLE, VARIABLE_PREFIX, nearest};
use super::value_type::flag;

/// Where the kernel says the node's name.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// The node's name; empty if the kernel does not say.
pub fn hostname() -> String {
    fs::read_to_string(HOSTNAME_FILE).unwrap_or_default().trim().to_owned()
}

/// The Python agent's variable for `ims.tagging`.
const TAGGING: &str = "IMS_TAGGING";

/// One layer: keys by their full name, `s3.bucket`.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment(Map<String, Value>);

impl Fragment {
    /// What is in force when nothing is said.
    pub fn defaults() -> Fragment {
        // Without a name the placeholder stays, and the check of the IQN says so.
        let hostname = hostname();
        let mut fragment = Fragment::default();
        for key in KEYS.iter() {
            let default = match hostname.as_str() {
                "" => key.default.to_owned(),
                hostname => key.default.replace("<hostname>", hostname),
            };
            fragment.set(key, "built-in default", &default);
        }
        fragment
    }

    /// A file; nothing of it if it cannot be read or is not TOML, or if it is absent and may be.
    pub fn file(path: &Path, required: bool, problems: &mut Vec<ConfigError>) -> Option<Fragment> {
        match read_toml(path) {
            Ok(values) => Some(Fragment::known(flatten(values), &path.display().to_string(), problems)),
            Err(ConfigError::Unreadable { source, .. }) if absent(&source) && !required => None,
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }

    /// The variables of the Python agent, with its prefix and without. The latter are not ours alone, so others pass
    /// without a word.
    pub fn predecessor(env: &BTreeMap<String, String>) -> Fragment {
        let mut fragment = Fragment::default();
        for key in KEYS.iter().filter(|key| !key.predecessor.is_empty()) {
            for variable in [key.predecessor.to_owned(), with_prefix(key.predecessor)] {
                if let Some(value) = env.get(&variable) {
                    fragment.set(key, &variable, value);
                }
            }
        }
        fragment
    }

    /// What would silently come to mean something else at a take-over: without tags the Python agent projects everything,
    /// and with them all that is not tagged is removed.
    pub fn other_meanings(env: &BTreeMap<String, String>) -> Vec<ConfigError> {
        let set = [TAGGING.to_owned(), with_prefix(TAGGING)].into_iter();
        let set = set.filter_map(|variable| Some((env.get(&variable)?.clone(), variable)));
        set.filter(|(value, _)| value != "true" && (flag().read)(value.trim()) == Some(true))
            .map(|(value, variable)| ConfigError::OtherMeaning { variable, value })
            .collect()
    }

    /// Our own variables.
    pub fn environment(env: &BTreeMap<String, String>, problems: &mut Vec<ConfigError>) -> Fragment {
        let mut fragment = Fragment::default();
        let of_predecessor = |variable: &str| {
            let known = KEYS.iter().map(|key| key.predecessor).chain([UNUSED_VARIABLE]);
            known.map(with_prefix).any(|known| known == variable)
        };
        for (variable, value) in env.iter().filter(|(variable, _)| variable.starts_with(VARIABLE_PREFIX)) {
            match KEYS.iter().find(|key| key.variable() == *variable) {
                Some(key) => fragment.set(key, variable, value),
                None if of_predecessor(variable) => {}
                None => problems.push(ConfigError::Unknown {
                    origin: "environment".to_owned(),
                    name: variable.clone(),
                    nearest: nearest(variable, KEYS.iter().map(Key::variable)),
                }),
            }
        }
        fragment
    }

    /// `--set`; of two for one key the later holds.
    pub fn flags(flags: &[Flag], problems: &mut Vec<ConfigError>) -> Fragment {
        let origin = "--set".to_owned();
        let values =
            flags.iter().map(|flag| (flag.key.clone(), Value::new(Some(&origin), flag.value.as_str())));
        Fragment::known(values.collect(), &origin, problems)
    }

    fn known(values: BTreeMap<String, Value>, origin: &str, problems: &mut Vec<ConfigError>) -> Fragment {
        let mut fragment = Fragment::default();
        for (name, value) in values {
            if KEYS.iter().any(|key| key.name == name) {
                fragment.0.insert(name, value);
            } else {
                let nearest = nearest(&name, KEYS.iter().map(|key| key.name.to_owned()));
                problems.push(ConfigError::Unknown { origin: origin.to_owned(), name, nearest });
            }
        }
        fragment
    }

    fn set(&mut self, key: &Key, origin: &str, value: &str) {
        self.0.insert(key.name.to_owned(), Value::new(Some(&origin.to_owned()), value));
    }
}

/// As the Python agent reads its variables.
pub(super) fn with_prefix(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{name}")
}

impl Source for Fragment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Sections taken apart: every value under its full name.
pub(super) fn flatten(value: Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    if let ValueKind::Table(table) = value.kind {
        for (name, value) in table {
            match value.kind {
                ValueKind::Table(_) => {
                    flat.extend(flatten(value).into_iter().map(|(inner, v)| (format!("{name}.{inner}"), v)));
                }
                _ => {
                    flat.insert(name, value);
                }
            }
        }
    }
    flat
}

/// The `*.toml` of a folder by name, without hidden ones: editors leave those behind.
pub(super) fn files_in(dir: &Path, problems: &mut Vec<ConfigError>) -> Vec<PathBuf> {
    let listing = fs::read_dir(dir).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
    });
    let mut files = match listing {
        Ok(files) => files,
        Err(error) if absent(&error) => Vec::new(),
        Err(source) => {
            problems.push(ConfigError::Unreadable { path: dir.to_owned(), source });
            Vec::new()
        }
    };
    let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    files
        .retain(|file| file.extension() == Some(OsStr::new("toml")) && !file.file_name().is_some_and(hidden));
    files.sort();
    files
}

fn absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

fn read_toml(path: &Path) -> Result<Value, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let origin = path.display().to_string();
    let table = FileFormat::Toml.parse(Some(&origin), &text).map_err(|error| {
        let message = without_the_line_itself(&error.to_string());
        ConfigError::NotToml { path: path.to_owned(), message }
    })?;
    Ok(Value::new(Some(&origin), table))
}

/// A TOML error is "at line 3, column 5", a picture of that line, and what was expected. The picture goes: it may
/// show a secret, and an error is one line.
fn without_the_line_itself(error: &str) -> String {
    let lines: Vec<&str> = error.lines().collect();
    match lines[..] {
        [place, .., expected] => format!("{place}: {expected}"),
        _ => error.trim().to_owned(),
    }
}
