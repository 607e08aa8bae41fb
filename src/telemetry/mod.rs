//! Where events go: to stderr, one line each, which journald keeps with its priority.
//!
//! Our own events at the configured level; those of libraries from `warn` on, unless the filter names them.

mod journal;
mod json;
mod line;
mod record;
mod tap;
mod text;
mod time;

pub use tap::Tap;

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, reload};

use self::record::Record;
use crate::config::{self, Log, LogFormat};

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
    let lines = Lines { format: log.format, for_journal: journal::is_stderr(), host: config::hostname() };
    let (subscriber, level) = subscriber(&log.level, lines, io::stderr, tap);
    subscriber.try_init()?;
    Ok(level)
}

/// An error of a command, before or without events: a plain line, which journald is told the priority of too.
pub fn complain(line: &str) {
    let priority = if journal::is_stderr() { journal::prefix(Level::ERROR) } else { "" };
    // When stderr is gone there is nobody to tell, and eprintln! would panic.
    let _ = writeln!(io::stderr(), "{priority}{line}");
}

/// What each line looks like.
struct Lines {
    format: LogFormat,
    for_journal: bool,
    host: String,
}

impl Lines {
    fn line(&self, record: &Record) -> String {
        match self.format {
            LogFormat::Json => json::flat(record),
            LogFormat::Hec => json::enveloped(record, &self.host),
            LogFormat::Text => text::plain(record, self.for_journal),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.for_journal {
            writer.write_str(journal::prefix(*event.metadata().level()))?;
        }
        writer.write_str(&self.line(&Record::now(event)))
    }
}

fn subscriber<W>(
    level: &str,
    lines: Lines,
    writer: W,
    tap: Tap,
) -> (impl Subscriber + Send + Sync + use<W>, LevelHandle)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(level));
    // When stderr is gone there is nobody to tell; telling it by eprintln! would end the daemon.
    let layer =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let lines = layer.event_format(lines).with_filter(filter);
    // Whatever the level of the log is: what is counted and kept does not depend on it.
    let tap = tap.with_filter(targets("info"));
    (tracing_subscriber::registry().with(lines).with(tap), LevelHandle(handle))
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
mod tests;
