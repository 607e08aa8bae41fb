//! An event as one flat JSON object (facts P58): `time`, `epoch`, `level`, `event`, `message`, then the event's own
//! fields in their order; and the same in the envelope of Splunk's HTTP Event Collector.

use serde_json::Value;

use super::line::Line;
use super::record::Record;
use super::time::{epoch, rfc3339};

/// Of this program, in the envelope.
const SOURCE: &str = "sbps-marshal";

/// What splunk/sbps_marshal/default/props.conf is for.
const SOURCETYPE: &str = "sbps_marshal:json";

/// One flat object.
pub(super) fn flat(record: &Record) -> String {
    let mut line = Line::default();
    put(&mut line, "time", &rfc3339(record.since_1970).into());
    put(&mut line, "epoch", &epoch(record.since_1970));
    put_event(&mut line, record);
    line.end("}")
}

/// The envelope has the time, so the event in it does not.
pub(super) fn enveloped(record: &Record, host: &str) -> String {
    let mut line = Line::default();
    put(&mut line, "time", &epoch(record.since_1970));
    put(&mut line, "host", &host.into());
    put(&mut line, "source", &SOURCE.into());
    put(&mut line, "sourcetype", &SOURCETYPE.into());
    line.push(",\"event\":");
    put_event(&mut line, record);
    line.end("}}")
}

fn put_event(line: &mut Line, record: &Record) {
    put(line, "level", &record.level_name().into());
    put(line, "event", &record.event);
    if let Some(message) = &record.message {
        put(line, "message", message);
    }
    for (key, value) in &record.fields {
        put(line, key, value);
    }
    if let Some(left_out) = line.left_out() {
        line.push(&format!(",\"fields_left_out\":{left_out}"));
    }
}

fn put(line: &mut Line, key: &str, value: &Value) {
    let separator = if line.is_empty() || line.ends_with(':') { '{' } else { ',' };
    line.put(&format!("{separator}\"{key}\":"), value, encoded);
}

/// Without what journald takes for binary, and what some take for the end of a line: JSON has to escape neither.
fn encoded(value: &Value) -> String {
    let json = value.to_string();
    let is_plain = |c: char| !matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    if json.chars().all(is_plain) {
        return json;
    }
    json.chars()
        .map(|c| if is_plain(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) })
        .collect()
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
    fn two_fields_that_would_have_one_name_have_two() {
        let line = line(|| info!(pool.size = 3, pool_size = 4, "full"));
        assert!(line.ends_with("\"pool_size\":3,\"pool_size_\":4}\n"), "{line}");
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

    #[test]
    fn hec_is_the_envelope_around_the_event_which_has_no_second_time() {
        let line = logged("info", LogFormat::Hec, |_| info!(event = "lun_added", lun = 7, "projected"));
        let (head, rest) = line.split_once(",\"host\"").unwrap();
        let time: f64 = head.strip_prefix("{\"time\":").unwrap().parse().unwrap();
        assert!(time > 1.7e9 && time.fract() != 0.0, "{line}");
        assert_eq!(
            rest,
            ":\"w001\",\"source\":\"sbps-marshal\",\"sourcetype\":\"sbps_marshal:json\",\"event\":{\"level\":\"info\",\
             \"event\":\"lun_added\",\"message\":\"projected\",\"lun\":7}}\n"
        );
    }
}
