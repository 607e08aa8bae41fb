//! What holds for every format.

use super::*;
use actors::events;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::subscriber::with_default;
use tracing::{debug, info, warn};

const FORMATS: [LogFormat; 3] = [LogFormat::Json, LogFormat::Hec, LogFormat::Text];

/// Keeps what is written.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `events` logs, and the handle to change the level meanwhile.
pub(super) fn logged(level: &str, format: LogFormat, events: impl FnOnce(&LevelHandle)) -> String {
    logged_to(false, level, format, events)
}

pub(super) fn logged_to(
    journal: bool,
    level: &str,
    format: LogFormat,
    events: impl FnOnce(&LevelHandle),
) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let lines = Lines { format, for_journal: journal, host: "w001".to_owned() };
    let (subscriber, handle) = subscriber(level, lines, move || writer.clone(), Tap::default());
    with_default(subscriber, || events(&handle));
    String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
}

fn of_everyone(_: &LevelHandle) {
    for_each_level("ours");
    debug!(target: "actors::lio", "inside debug");
    info!(target: "hyper::client", "library info");
    warn!(target: "hyper::client", "library warn");
}

fn for_each_level(who: &str) {
    debug!("{who} debug");
    info!("{who} info");
}

fn messages(level: &str) -> Vec<String> {
    let lines = logged(level, LogFormat::Json, of_everyone);
    let message = |line| serde_json::from_str::<Value>(line).unwrap()["message"].clone();
    lines.lines().map(|line| message(line).as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_level_is_for_our_own_crates_and_libraries_only_warn() {
    assert_eq!(messages("info"), ["ours info", "library warn"]);
    assert_eq!(messages("debug"), ["ours debug", "ours info", "inside debug", "library warn"]);
    assert_eq!(messages("error"), [""; 0]);
}

#[test]
fn a_library_that_the_filter_names_has_its_own_level() {
    assert_eq!(messages("hyper=info,info"), ["ours info", "library info", "library warn"]);
    assert_eq!(messages("hyper=off,actors=debug,info"), ["ours info", "inside debug"]);
}

#[test]
fn the_level_changes_while_the_program_runs() {
    let lines = logged("off", LogFormat::Json, |level| {
        info!("before");
        level.set(&Log { level: "info".to_owned(), format: LogFormat::Json }).unwrap();
        info!("after");
    });
    assert!(lines.contains("after") && !lines.contains("before"), "{lines}");
}

#[test]
fn l8_a_line_for_the_journal_begins_with_its_priority_and_no_other_does() {
    let of_each_level = |_: &LevelHandle| {
        tracing::error!("it");
        warn!("it");
        info!("it");
        debug!("it");
        tracing::trace!("it");
    };
    for format in FORMATS {
        let lines = logged_to(true, "trace", format, of_each_level);
        let priorities: Vec<_> = lines.lines().map(|line| &line[..3]).collect();
        assert_eq!(priorities, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
        assert!(!logged("trace", format, of_each_level).contains('<'));
        let plain = |line: &str| line[3..].starts_with(['{', 'e', 'w', 'i', 'd', 't']);
        assert!(lines.lines().all(plain), "the line itself follows: {lines}");
    }
}

#[test]
fn a_write_that_fails_does_not_end_the_daemon() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let lines = Lines { format: LogFormat::Json, for_journal: false, host: String::new() };
    let (subscriber, _level) = subscriber("info", lines, || Gone, Tap::default());
    with_default(subscriber, || info!("nobody reads this"));
}

#[test]
fn whoever_listens_beside_the_log_sees_our_events_from_info_on_whatever_the_level_of_the_log_is() {
    for level in ["off", "error", "trace"] {
        let tap = Tap::default();
        let mut told = tap.listen();
        let lines = Lines { format: LogFormat::Text, for_journal: false, host: String::new() };
        let (subscriber, _level) = subscriber(level, lines, io::sink, tap);
        with_default(subscriber, || of_everyone(&_level));
        let mut seen = Vec::new();
        while let Ok(line) = told.try_recv() {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            seen.push(event["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen, ["ours info", "library warn"], "{level}");
    }
}

/// An event of the table, each of its fields with this value.
fn record(event: &events::Event, value: &str) -> Record {
    Record {
        since_1970: Duration::from_micros(1_784_000_000_123_456),
        level: event.levels[0].of_tracing(),
        event: event.name.into(),
        message: Some(format!("{} {value}", event.meaning).into()),
        fields: event.fields.iter().map(|field| ((*field).to_owned(), value.into())).collect(),
    }
}

#[test]
fn every_event_of_the_table_is_one_short_line_in_every_format_whatever_its_values_are() {
    let hostile = [
        "x\n<3>{\"event\":\"lun_dead\"}\r\n".to_owned(),
        "x".repeat(10_000),
        "\"".repeat(10_000),
        "\n".repeat(10_000),
        "🦀é".repeat(5_000),
        "\u{0}\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{2029}".repeat(1_000),
    ];
    let mut lines = 0;
    for (event, value) in events::all().flat_map(|event| hostile.iter().map(move |value| (event, value))) {
        let record = record(&event, value);
        for format in FORMATS {
            let line = Lines { format, for_journal: false, host: "w".repeat(64) }.line(&record);
            let name = event.name;
            assert!(line.len() + "<3>".len() < line::LONGEST_LINE, "{name}: {} bytes", line.len());
            let text = line.strip_suffix('\n').unwrap();
            let is_hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!text.contains(is_hidden), "{name}, {format:?}: {text:?}");
            let object: Value = match format {
                LogFormat::Json => serde_json::from_str(text).unwrap(),
                LogFormat::Hec => serde_json::from_str::<Value>(text).unwrap()["event"].take(),
                LogFormat::Text => {
                    assert!(text.contains(&format!(" {name}: {}", event.meaning)), "{text}");
                    continue;
                }
            };
            let told = object["message"].as_str().unwrap();
            assert!(object["event"] == name && told.starts_with(event.meaning), "{text}");
            let first = event.fields.first().map_or(told, |field| object[*field].as_str().unwrap());
            assert!(
                first.trim_end_matches(line::MARK).ends_with(value.as_str()) || first.ends_with(line::MARK)
            );
        }
        lines += 1;
    }
    assert!(lines > 50 * hostile.len(), "{lines} lines: are these all?");
}

#[test]
fn no_format_says_a_field_twice() {
    for event in events::all() {
        let record = record(&event, "v4lue");
        for format in FORMATS {
            let line = Lines { format, for_journal: false, host: "w001".to_owned() }.line(&record);
            // Once in the message.
            assert_eq!(line.matches("v4lue").count(), event.fields.len() + 1, "{line}");
            assert_eq!(line.matches(event.meaning).count(), 1, "{line}");
            for field in event.fields {
                let key = match format {
                    LogFormat::Text => format!(" {field}="),
                    LogFormat::Json | LogFormat::Hec => format!("\"{field}\":"),
                };
                assert_eq!(line.matches(&key).count(), 1, "{field} in {line}");
            }
        }
    }
}
