//! What has happened since the process started: counted from our events, as they are told.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::Deserialize;

/// Upper bounds of the buckets of a pass, s: from a look that finds nothing new to a target that is filled.
const SECONDS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEvent {
    event: String,
    level: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChange {
    action: String,
    result: String,
}

/// Shared by whoever counts and whoever reads. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Counters {
    events: Family<OfEvent, Counter>,
    passes: Family<OfResult, Counter>,
    changes: Family<OfChange, Counter>,
    seconds: Histogram,
}

/// What of an event is counted by.
#[derive(Deserialize)]
struct Told {
    event: String,
    level: String,
    action: Option<String>,
    result: Option<String>,
    duration_ms: Option<u64>,
}

impl Default for Counters {
    fn default() -> Self {
        let counters = Counters {
            events: Family::default(),
            passes: Family::default(),
            changes: Family::default(),
            seconds: Histogram::new(SECONDS),
        };
        // From the start: a rate over what has never been is no rate.
        for result in ["converged", "not_converged"] {
            counters.passes.get_or_create(&OfResult { result: result.into() }).inc_by(0);
        }
        for action in ["project", "remake", "withdraw"] {
            for result in ["ok", "failed"] {
                counters
                    .changes
                    .get_or_create(&OfChange { action: action.into(), result: result.into() })
                    .inc_by(0);
            }
        }
        counters
    }
}

impl Counters {
    /// One more event: its line in the log.
    pub fn count(&self, line: &str) {
        let Ok(Told { event, level, action, result, duration_ms }) = serde_json::from_str(line) else {
            return;
        };
        match (event.as_str(), action, result) {
            ("pass_summary", _, Some(result)) => {
                self.passes.get_or_create(&OfResult { result }).inc();
                self.seconds.observe(duration_ms.unwrap_or_default() as f64 / 1000.0);
            }
            (_, Some(action), Some(result)) => {
                self.changes.get_or_create(&OfChange { action, result }).inc();
            }
            _ => {}
        }
        self.events.get_or_create(&OfEvent { event, level }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("events", "Events in the log, by their name", self.events.clone());
        registry.register("passes", "Passes that have ended, by what they came to", self.passes.clone());
        registry.register(
            "changes",
            "Changes of LUNs, by what was done and what it came to",
            self.changes.clone(),
        );
        registry.register("pass_duration_seconds", "How long passes took", self.seconds.clone());
    }
}
