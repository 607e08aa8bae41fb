//! Stage three: the merged layers are read into the input by the table, and the input is made into [`Settings`].

use std::collections::BTreeMap;

use ::config::{Value, ValueKind};

use super::errors::ConfigError;
use super::input::Input;
use super::keys::{KEYS, Key};
use super::settings::Settings;

/// The most characters of a value that an error shows.
const SHOWN: usize = 80;

/// The settings, if nothing stands in the way; each obstacle becomes a problem.
pub(super) fn settings(given: &BTreeMap<String, Value>, problems: &mut Vec<ConfigError>) -> Option<Settings> {
    let mut input = Input::default();
    for key in KEYS.iter() {
        let value = given.get(key.name);
        if !value.and_then(as_text).is_some_and(|text| key.read(&text, &mut input)) {
            problems.push(refusal(key, value, key.allowed.clone()));
        }
    }
    // Between keys, where both were right by themselves.
    for key in KEYS.iter() {
        if let Some(allowed) = key.astray(&input) {
            problems.push(refusal(key, given.get(key.name), allowed));
        }
    }
    input.whole()
}

fn as_text(value: &Value) -> Option<String> {
    match value.kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        _ => Some(value.kind.to_string()),
    }
}

fn refusal(key: &Key, value: Option<&Value>, allowed: String) -> ConfigError {
    let shown = match value.and_then(as_text) {
        Some(text) if key.may_show(&text) => {
            format!("{:?}", text.chars().take(SHOWN).collect::<String>())
        }
        Some(_) => "a value that is not shown".to_owned(),
        None => "a list".to_owned(),
    };
    let origin = value.and_then(Value::origin).unwrap_or_default().to_owned();
    ConfigError::Value { origin, key: key.name, value: shown, allowed, default: key.default }
}
