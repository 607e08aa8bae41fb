//! What the thread of a test logs.

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use tracing::Level;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Keeps what this thread logs, of all levels, until it is dropped.
#[derive(Debug)]
pub struct Log(());

impl Log {
    /// One subscriber serves all threads: tracing remembers of each place that logs whether anybody listens, and asks
    /// the thread that comes by first. A subscriber of this thread alone would miss what others came by before.
    #[must_use]
    pub fn of_this_thread() -> Log {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let all = tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::TRACE);
            tracing::subscriber::set_global_default(all.with_writer(|| ToThisThread).finish())
                .expect("the only one of this program");
            // Some thread may have come by between its making and its setting.
            tracing::callsite::rebuild_interest_cache();
        });
        LINES.set(Some(Vec::new()));
        Log(())
    }

    /// So far, a line for each event.
    #[must_use]
    pub fn text(&self) -> String {
        LINES.with_borrow(|lines| String::from_utf8_lossy(lines.as_deref().unwrap_or_default()).into_owned())
    }

    /// How often this event so far.
    #[must_use]
    pub fn count(&self, event: &str) -> usize {
        self.text().matches(&format!("event=\"{event}\"")).count()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

struct ToThisThread;

impl io::Write for ToThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
