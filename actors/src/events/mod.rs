//! Every line of the log from info upwards is one of these events. docs/events.md is rendered from this table, and
//! [`emit!`] takes nothing that is not in it.

mod agent;
mod changes;
mod conditions;

pub use crate::emit;
pub use agent::*;
pub use changes::*;
pub use conditions::{MORE, MORE_RESOLVED, RESOLVED, resolve, start};
use std::fmt::Write;
/// For [`emit!`]: a value that is logged as it is shown.
pub use tracing::field::display;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever develops the agent.
    Debug,
    /// As it should be.
    Info,
    /// An operator may look at it in the morning.
    Warn,
    /// An operator should look at it now.
    Error,
}

/// A kind of line in the log.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What it is found by: the field `event`.
    pub name: &'static str,
    /// Its level; if there are several, [`emit!`] says which.
    pub levels: &'static [Level],
    /// What it says beside `time`, `level`, `event` and `message`, in this order. A field without a value is left out.
    pub fields: &'static [&'static str],
    /// In half a sentence; its `message`, unless the event has another one.
    pub meaning: &'static str,
    /// What an operator should do.
    pub remedy: &'static str,
    /// Where that is told at length: a page of `docs/` and its heading. Every warning and error has one; else it may be
    /// empty.
    pub section: &'static str,
}

impl Level {
    /// The same, for tracing.
    pub const fn of_tracing(self) -> tracing::Level {
        match self {
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        }
    }

    fn name(self) -> String {
        self.of_tracing().to_string().to_lowercase()
    }
}

impl Event {
    /// The level it is logged at. Does not compile for another one than it has, nor without one if it has several.
    pub const fn level(&self, chosen: &[Level]) -> tracing::Level {
        assert!(chosen.len() == 1 || self.levels.len() == 1, "it has several levels: name one");
        let level = if chosen.is_empty() { self.levels[0] } else { chosen[0] };
        let mut at = 0;
        while self.levels[at] as u8 != level as u8 {
            at += 1;
        }
        level.of_tracing()
    }

    /// Does not compile if an event is logged with other fields than its own.
    pub const fn check(&self, fields: &[&str]) {
        assert!(fields.len() == self.fields.len(), "this event has more or fewer fields");
        let mut at = 0;
        while at < fields.len() {
            let (given, own) = (fields[at].as_bytes(), self.fields[at].as_bytes());
            assert!(given.len() == own.len(), "this event has other fields, or in another order");
            let mut byte = 0;
            while byte < own.len() {
                assert!(given[byte] == own[byte], "this event has other fields, or in another order");
                byte += 1;
            }
            at += 1;
        }
    }
}

/// Logs an event of the table: `emit!(EVENT[Level], field, field = value; message)`. The level is only said where the
/// event has several, the message only where it is not the event's meaning.
#[macro_export]
macro_rules! emit {
    ($event:ident $([$level:ident])? $(, $field:ident $(= $value:expr)?)* $(,)?) => {
        $crate::emit!($event $([$level])? $(, $field $(= $value)?)*; $crate::events::$event.meaning)
    };
    ($event:ident $([$level:ident])? $(, $field:ident $(= $value:expr)?)*; $message:expr) => {{
        const EVENT: $crate::events::Event = $crate::events::$event;
        const LEVEL: ::tracing::Level = EVENT.level(&[$($crate::events::Level::$level)?]);
        const _: () = EVENT.check(&[$(stringify!($field)),*]);
        ::tracing::event!(
            LEVEL, event = EVENT.name, $($field = $crate::emit!(@ $field $($value)?),)* message = $message
        )
    }};
    (@ $field:ident) => { $field };
    (@ $field:ident $value:expr) => { $value };
}

/// A part of the table: its events by their constants.
macro_rules! events {
    ($($constant:ident $name:literal [$($level:ident),+] ($($field:ident)*) $meaning:literal
        => $remedy:literal $(, $section:literal)?;)*) => {
        $(
            #[doc = $meaning]
            pub const $constant: $crate::events::Event = $crate::events::Event {
                name: $name,
                levels: &[$($crate::events::Level::$level),+],
                fields: &[$(stringify!($field)),*],
                meaning: $meaning,
                remedy: $remedy,
                section: concat!($($section)?),
            };
        )*
        pub(super) const TABLE: &[$crate::events::Event] = &[$($constant),*];
    };
}
use events;

/// The whole table.
pub fn all() -> impl Iterator<Item = Event> {
    changes::TABLE.iter().copied().chain(conditions::table()).chain(agent::TABLE.iter().copied())
}

/// The page docs/events.md.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    part(&mut page, "What changes", "", changes::TABLE);
    let of_conditions: Vec<Event> = conditions::table().collect();
    part(&mut page, "Conditions", ON_CONDITIONS, &of_conditions);
    part(&mut page, "Passes and the agent", "", agent::TABLE);
    page
}

const INTRODUCTION: &str = "# Events

<!-- Rendered from `actors/src/events/`; `UPDATE=1 cargo test --test house` writes it anew. -->

Every line that the agent itself logs from `info` upwards is one of these events (libraries may warn without one): with
`log.format` `json` a flat JSON object with `time`, `epoch`, `level`, `event`, `message`, and the fields below ([the other
formats](operations.md#logs)). A field without a value is left out.
`image_id` is the id of an IMS image or the key of a PE image, and nothing else; what is no image has `subject`. `reason` is
short and from a bounded set; `detail` is for a person. `scan_id` is the number of the pass.
";

const ON_CONDITIONS: &str = "
Each is logged once when it starts and once, as `resolved`, when it clears. Of more than 20 of one type in one pass the rest
is a number (`more`, `more_resolved`).
";

fn part(page: &mut String, title: &str, text: &str, events: &[Event]) {
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n{text}\n| event | level | fields | meaning | what to do |\n|---|---|---|---|---|\n"
    );
    for Event { name, levels, fields, meaning, remedy, section } in events {
        let levels: Vec<String> = levels.iter().map(|level| level.name()).collect();
        let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        let (levels, fields) = (levels.join(", "), fields.join(", "));
        let more = if section.is_empty() { String::new() } else { format!(" ([more]({section}))") };
        let _ = writeln!(page, "| `{name}` | {levels} | {fields} | {meaning} | {remedy}{more} |");
    }
}
