//! One event as it is logged in every format: what all events have, then its own fields in their order. Spans are not
//! shown: an event says everything itself, so every line can be read alone.

use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::causes;

/// An event, with its fields and their types.
pub(super) struct Record {
    pub since_1970: Duration,
    pub level: Level,
    pub event: Value,
    pub message: Option<Value>,
    /// No two of one name, and none of a name that every line has.
    pub fields: Vec<(String, Value)>,
}

impl Record {
    /// This event, now.
    pub fn now(event: &Event<'_>) -> Record {
        let metadata = event.metadata();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Splunk wants an event on every line; libraries do not name theirs.
        let name = metadata.target().into();
        let mut record =
            Record { since_1970, level: *metadata.level(), event: name, message: None, fields: Vec::new() };
        event.record(&mut record);
        record
    }

    /// `error`, as the table of events has it.
    pub fn level_name(&self) -> String {
        self.level.as_str().to_ascii_lowercase()
    }

    fn keep(&mut self, field: &Field, value: Value) {
        match field.name() {
            "event" => self.event = value,
            "message" => self.message = Some(value),
            name => {
                let mut key = snake_case(name);
                while is_of_every_line(&key) || self.fields.iter().any(|(other, _)| *other == key) {
                    key.push('_');
                }
                self.fields.push((key, value));
            }
        }
    }
}

impl Visit for Record {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    /// The whole chain: the last cause is what an operator needs.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.keep(field, causes::with_causes(error).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}").into());
    }
}

fn snake_case(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let snake = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(snake).collect()
}

fn is_of_every_line(key: &str) -> bool {
    matches!(key, "time" | "epoch" | "level" | "event" | "message")
}
