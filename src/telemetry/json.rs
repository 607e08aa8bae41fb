//! An event as one flat JSON object (facts P58): `time`, `epoch`, `level`, `event`, `message`, then the event's own
//! fields in their order. Spans are not shown: an event says everything itself, so every line can be read alone.

use std::error::Error;
use std::fmt::{self, Debug};
use std::time::SystemTime;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::line::Line;
use super::time::{epoch, rfc3339};
use crate::causes;

/// The format.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
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
        writer.write_str(&render(SystemTime::now(), event))
    }
}

pub(super) fn render(now: SystemTime, event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();

    let mut line = Line::start();
    line.put("time", &rfc3339(since_1970).into());
    line.put("epoch", &epoch(since_1970));
    line.put("level", &metadata.level().as_str().to_ascii_lowercase().into());
    // Splunk wants an event on every line; libraries do not name theirs.
    line.put("event", &fields.event.unwrap_or_else(|| metadata.target().into()));
    if let Some(message) = fields.message {
        line.put("message", &message);
    }
    for (name, value) in fields.others {
        line.put(&key(name), &value);
    }
    line.end()
}

/// The fields of one event, with their types.
#[derive(Default)]
struct Fields {
    event: Option<Value>,
    message: Option<Value>,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        match field.name() {
            "event" => self.event = Some(value),
            "message" => self.message = Some(value),
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
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

/// Snake case, and never one of the keys that every line has.
fn key(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let snake = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let key: String = name.chars().map(snake).collect();
    match key.as_str() {
        "time" | "epoch" | "level" => key + "_",
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::logged;
    use crate::config::LogFormat;
    use serde_json::Value;
    use tracing::{info, warn};

    /// The line that `event` logs; without its time, which is checked and taken out.
    fn line(event: impl FnOnce()) -> String {
        let line = logged("info", LogFormat::Json, |_| event());
        let object: Value = serde_json::from_str(&line).unwrap();
        let (time, epoch) = (object["time"].as_str().unwrap(), object["epoch"].as_f64().unwrap());
        assert!(time.len() == 27 && time.ends_with('Z') && epoch > 1.7e9, "{line}");
        let (head, rest) = line.split_once(r#","level""#).unwrap();
        assert!(head.starts_with(&format!(r#"{{"time":"{time}","epoch":1"#)), "{line}");
        format!(r#"{{"level"{rest}"#)
    }

    #[test]
    fn a_line_is_one_flat_object_in_the_order_of_the_event() {
        let reason = String::from("tagged");
        let line = line(
            || info!(zeta = 1, event = "lun_added", lun = 7u16, ours = true, seconds = 0.5, %reason, absent = None::<u8>, alpha = ?Some(1), "image is projected"),
        );
        assert_eq!(
            line,
            "{\"level\":\"info\",\"event\":\"lun_added\",\"message\":\"image is projected\",\"zeta\":1,\"lun\":7,\
             \"ours\":true,\"seconds\":0.5,\"reason\":\"tagged\",\"alpha\":\"Some(1)\"}\n"
        );
    }

    #[test]
    fn an_event_without_a_name_has_its_target_for_one() {
        assert_eq!(
            line(|| warn!(target: "hyper::client", { pool.size = 3, level = 9 }, "slow \"peer\"\nagain")),
            "{\"level\":\"warn\",\"event\":\"hyper::client\",\"message\":\"slow \\\"peer\\\"\\nagain\",\
             \"pool_size\":3,\"level_\":9}\n"
        );
    }

    #[test]
    fn an_error_is_told_with_all_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the list did not come")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("connection refused"));
        let line = line(|| info!(error = &error as &dyn std::error::Error));
        assert!(line.ends_with("\"error\":\"the list did not come: connection refused\"}\n"), "{line}");
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        assert!(line(|| info!(rate = f64::NAN)).ends_with("\"rate\":null}\n"));
    }
}
