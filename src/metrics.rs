//! What monitors read: OpenMetrics, or the older text form for those that know no other.

mod counters;
mod node;
mod text;

pub use counters::Counters;
pub use text::classic;

use crate::status::Document;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Before every name.
const PREFIX: &str = "sbps_marshal";

/// The form that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The form that every reader knows.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known of the node now, and what has been counted since the process started, as OpenMetrics.
pub fn openmetrics(document: &Document, counters: &Counters) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    node::register(&mut registry, document);
    counters.register(&mut registry);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The same in the form that the reader accepts, and its content type.
pub fn answer(document: &Document, counters: &Counters, accepts: &str) -> (String, &'static str) {
    let text = openmetrics(document, counters);
    match accepts.contains("application/openmetrics-text") {
        true => (text, OPENMETRICS),
        false => (classic(&text), CLASSIC),
    }
}
