//! What is wrong with a configuration: always one line for each problem, with its place and its remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One problem. Its text never has the content of a file or of an unknown key: those may be secrets.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder that is there, or was asked for, cannot be read.
    #[error("{}: cannot be read ({source}); make it readable, or correct the path", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is not TOML.
    #[error("{}: {message}; correct it there", path.display())]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Line, column and what was expected.
        message: String,
    },
    /// A key or variable that nobody reads.
    #[error("{origin}: {name:?} is not known, the nearest known is {nearest}; correct or remove it")]
    Unknown {
        /// File, environment or flags.
        origin: String,
        /// Key or variable.
        name: String,
        /// What was probably meant.
        nearest: String,
    },
    /// A value that its key cannot have.
    #[error("{origin}: {key} is {value}, allowed: {allowed}; correct it{}", or_remove(default))]
    Value {
        /// File, variable, flag or the built-in default.
        origin: String,
        /// Its name in the table.
        key: &'static str,
        /// The value in quotes, or why it is not shown.
        value: String,
        /// What it may be.
        allowed: String,
        /// What is in force without it.
        default: &'static str,
    },
    /// A variable that says yes to us, and said no to the predecessor: it may have been set for either.
    #[error(
        "{variable}: {value:?} was false to the Python agent, for which only \"true\" was true; set it to true or false"
    )]
    OtherMeaning {
        /// Which.
        variable: String,
        /// What it is set to.
        value: String,
    },
    /// The layers cannot be merged.
    #[error("the layers cannot be merged ({0}); this is a fault of sbps-marshal, please report it")]
    Merge(#[source] ::config::ConfigError),
}

fn or_remove(default: &str) -> String {
    if default.is_empty() {
        ", or remove it".to_owned()
    } else {
        format!(", or remove it to get {default:?}")
    }
}

/// Every problem of a configuration.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}
