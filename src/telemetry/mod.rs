//! Where events go: to stderr, one line each, which journald keeps with its priority.
//!
//! Our own events at the configured level; those of libraries from `warn` on, unless the filter names them.

mod journal;
mod json;
mod line;
mod tap;
mod time;

pub use tap::Tap;

use std::io::{self, Write};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Our crates, as events name them.
const OURS: [&str; 2] = ["sbps_marshal", "actors"];

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `init` was called before.
    #[error("a log subscriber is already installed")]
    Init(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("the log level cannot be changed")]
    Reload(#[from] reload::Error),
}

/// The level of a running program.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<Targets, Registry>);

impl LevelHandle {
    /// From now on this level. The format stays: half a log in each form helps nobody.
    pub fn set(&self, log: &Log) -> Result<(), TelemetryError> {
        Ok(self.0.reload(targets(&log.level))?)
    }
}

/// Sends all events of this process to stderr, and ours to the tap. Once.
pub fn init(log: &Log, tap: Tap) -> Result<LevelHandle, TelemetryError> {
    let (subscriber, level) = subscriber(log, journal::is_stderr(), io::stderr, tap);
    subscriber.try_init()?;
    Ok(level)
}

/// An error of a command, before or without events: a plain line, which journald is told the priority of too.
pub fn complain(line: &str) {
    let priority = if journal::is_stderr() { journal::prefix(Level::ERROR) } else { "" };
    // When stderr is gone there is nobody to tell, and eprintln! would panic.
    let _ = writeln!(io::stderr(), "{priority}{line}");
}

fn subscriber<W>(
    log: &Log,
    for_journal: bool,
    writer: W,
    tap: Tap,
) -> (impl Subscriber + Send + Sync, LevelHandle)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(&log.level));
    // When stderr is gone there is nobody to tell; telling it by eprintln! would end the daemon.
    let lines = fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Json => {
            let format = journal::Prioritized { lines: json::JsonLines, for_journal };
            lines.event_format(format).boxed()
        }
        LogFormat::Text => {
            let text = fmt::format().with_ansi(false);
            lines.event_format(journal::Prioritized { lines: text, for_journal }).boxed()
        }
    };
    let tap = tap.with_filter(targets("info"));
    (tracing_subscriber::registry().with(lines.with_filter(filter)).with(tap), LevelHandle(handle))
}

/// The filter that a checked `log.level` means.
fn targets(filter: &str) -> Targets {
    let mut ours = LevelFilter::INFO;
    let mut named = Vec::new();
    for directive in filter.split(',') {
        let (target, level) = directive.split_once('=').unwrap_or(("", directive));
        let level = LevelFilter::from_str(level).unwrap_or(LevelFilter::INFO);
        if target.is_empty() { ours = level } else { named.push((target, level)) }
    }
    Targets::new()
        .with_default(ours.min(LevelFilter::from_level(Level::WARN)))
        .with_targets(OURS.map(|target| (target, ours)))
        .with_targets(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::subscriber::with_default;
    use tracing::{debug, info, warn};

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

    fn logged_to(journal: bool, level: &str, format: LogFormat, events: impl FnOnce(&LevelHandle)) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (subscriber, handle) = subscriber(
            &Log { level: level.to_owned(), format },
            journal,
            move || writer.clone(),
            Tap::default(),
        );
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
        let message = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone();
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
        for format in [LogFormat::Json, LogFormat::Text] {
            let lines = logged_to(true, "trace", format, of_each_level);
            let priorities: Vec<_> = lines.lines().map(|line| &line[..3]).collect();
            assert_eq!(priorities, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
            assert!(!logged("trace", format, of_each_level).contains('<'));
            let plain = |line: &str| line[3..].starts_with(['{', '2']);
            assert!(lines.lines().all(plain), "the line itself follows: {lines}");
        }
    }

    #[test]
    fn text_is_for_a_person() {
        let line = logged("info", LogFormat::Text, |_| info!(event = "lun_added", lun = 7, "projected"));
        assert!(
            line.ends_with(" INFO sbps_marshal::telemetry::tests: projected event=\"lun_added\" lun=7\n"),
            "{line}"
        );
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
        let (subscriber, _level) = subscriber(
            &Log { level: "info".into(), format: LogFormat::Json },
            false,
            || Gone,
            Tap::default(),
        );
        with_default(subscriber, || info!("nobody reads this"));
    }
}
