//! A second reader of our events, beside the log: whoever waits for a pass, the file of changes, the metrics. It sees
//! them from info on, whatever the level of the log is.

use super::json;
use super::record::Record;
use std::sync::Arc;
use tokio::sync::broadcast;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that a reader may be behind before it misses some: a pass over a thousand images.
const BEHIND: usize = 4096;

/// Hands each event on as its JSON line. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Tap(broadcast::Sender<Arc<str>>);

impl Default for Tap {
    fn default() -> Self {
        Tap(broadcast::Sender::new(BEHIND))
    }
}

impl Tap {
    /// Every event from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.subscribe()
    }
}

impl<S: Subscriber> Layer<S> for Tap {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.receiver_count() > 0 {
            // That nobody listens any more is no error.
            let _ = self.0.send(json::flat(&Record::now(event)).trim_end().into());
        }
    }
}
