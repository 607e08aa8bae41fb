//! An event as a short line for a person: `2026-10-01T12:00:00.123456Z info lun_added: a LUN was created lun=7`.

use serde_json::Value;

use super::line::Line;
use super::record::Record;
use super::time::rfc3339;

/// The journal has the time of each of its lines already.
pub(super) fn plain(record: &Record, for_journal: bool) -> String {
    let mut line = Line::default();
    if !for_journal {
        line.push(&rfc3339(record.since_1970));
        line.push(" ");
    }
    line.push(&record.level_name());
    line.put(" ", &record.event, escaped);
    line.push(":");
    if let Some(message) = &record.message {
        line.put(" ", message, escaped);
    }
    for (key, value) in &record.fields {
        line.put(&format!(" {key}="), value, quoted);
    }
    if let Some(left_out) = line.left_out() {
        line.push(&format!(" fields_left_out={left_out}"));
    }
    line.end("")
}

/// In quotes, unless it is one word: nobody can write a field, or a line, into the value of another one.
fn quoted(value: &Value) -> String {
    let is_plain =
        |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | '=') && c.escape_debug().len() == 1;
    match value.as_str() {
        Some(text) if text.is_empty() || !text.chars().all(|c| c == '\'' || is_plain(c)) => {
            format!("{text:?}")
        }
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// A sentence without its quotes, and with nothing in it that cannot be seen.
fn escaped(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let shown =
        |c: char| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{logged, logged_to};
    use crate::config::LogFormat;
    use tracing::{error, info, warn};

    /// Of a line for the journal, without its priority.
    fn line(event: impl FnOnce()) -> String {
        logged_to(true, "info", LogFormat::Text, |_| event())[3..].to_owned()
    }

    #[test]
    fn a_line_is_its_level_event_message_and_fields_each_once() {
        let line =
            line(|| info!(event = "lun_added", lun = 7, file = "/a/b", none = None::<u8>, "it's \"there\""));
        assert_eq!(line, "info lun_added: it's \"there\" lun=7 file=/a/b\n");
    }

    #[test]
    fn the_time_is_in_front_where_nobody_else_adds_one() {
        let line = logged("info", LogFormat::Text, |_| warn!(event = "history_lost", "lost"));
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{line}");
        assert_eq!(rest, "warn history_lost: lost\n");
    }

    #[test]
    fn a_value_that_is_not_one_word_is_quoted() {
        for (value, shown) in [
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("x lun=8", "\"x lun=8\""),
            ("lun=8", "\"lun=8\""),
            ("say \"x\"", "\"say \\\"x\\\"\""),
            ("back\\slash", "\"back\\\\slash\""),
            ("PE/größe", "PE/größe"),
            ("it's", "it's"),
            ("a\u{a0}b", "\"a\\u{a0}b\""),
        ] {
            assert_eq!(
                line(|| error!(event = "change_failed", detail = value)),
                format!("error change_failed: detail={shown}\n")
            );
        }
    }

    #[test]
    fn nothing_in_a_value_or_message_makes_a_second_line_or_cannot_be_seen() {
        let forged = "x\n<3>error lun_dead: gone\r\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}";
        let line = line(|| info!(event = "resync", reason = forged, "{forged}"));
        let shown = "x\\n<3>error lun_dead: gone\\r\\u{1b}[2J\\u{7f}\\u{85}\\u{2028}\\u{202e}";
        assert_eq!(line, format!("info resync: {shown} reason=\"{shown}\"\n"));
    }
}
