//! A line that is never too long and never broken.

use serde_json::Value;

/// Splunk cuts at 10,000 bytes and journald at 48 KiB, both in the middle of an object (facts P58).
pub(super) const LONGEST_LINE: usize = 8 * 1024;

/// One value may not take the room of all others.
const LONGEST_TEXT: usize = 4 * 1024;

/// Kept free for how many fields are left out, for the end, and for the priority in front.
const LONGEST_END: usize = 64;

/// What stands where text was cut.
pub(super) const MARK: &str = "...[cut]";

/// A line while it grows.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    left_out: usize,
}

impl Line {
    /// A value as `encode` writes it, and what stands before it. Text is cut to what there is room for; what does not fit
    /// at all is counted.
    pub fn put(&mut self, before: &str, value: &Value, encode: fn(&Value) -> String) {
        let room = (LONGEST_LINE - LONGEST_END).saturating_sub(self.text.len() + before.len());
        match encoded(value, room.min(LONGEST_TEXT), encode) {
            Some(value) => {
                self.text.push_str(before);
                self.text.push_str(&value);
            }
            None => self.left_out += 1,
        }
    }

    /// A few characters, as they are.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What it ends with so far.
    pub fn ends_with(&self, end: char) -> bool {
        self.text.ends_with(end)
    }

    /// How many values are not in it, if some are not.
    pub fn left_out(&self) -> Option<usize> {
        (self.left_out > 0).then_some(self.left_out)
    }

    /// The line, with its newline.
    pub fn end(self, end: &str) -> String {
        self.text + end + "\n"
    }
}

/// The value in at most `room` bytes.
fn encoded(value: &Value, room: usize, encode: fn(&Value) -> String) -> Option<String> {
    let text = value.as_str();
    // No character is shorter when it is encoded.
    if text.is_none_or(|text| text.len() <= room) {
        let whole = encode(value);
        if whole.len() <= room {
            return Some(whole);
        }
    }
    let text = text?;
    let cut_at = |at: usize| encode(&Value::from(format!("{}{MARK}", &text[..at])));
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= room).collect();
    let fitting = places.partition_point(|at| cut_at(*at).len() <= room);
    places[..fitting].last().map(|at| cut_at(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[(&str, Value)]) -> (String, Value) {
        let mut line = Line::default();
        for (key, value) in values {
            let separator = if line.is_empty() { '{' } else { ',' };
            line.put(&format!("{separator}\"{key}\":"), value, Value::to_string);
        }
        let left_out = line.left_out().map(|count| format!(",\"left_out\":{count}")).unwrap_or_default();
        let line = line.end(&format!("{left_out}}}"));
        let object = serde_json::from_str(&line).unwrap();
        (line, object)
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark_and_the_object_stays_whole() {
        for unit in ["x", "é", "\"", "\n", "\u{1}", "🦀"] {
            let (line, object) = line(&[("text", unit.repeat(10_000).into()), ("after", 1.into())]);
            let text = object["text"].as_str().unwrap();
            assert!(line.len() < LONGEST_LINE && line.len() > 4_000, "{unit:?}: {}", line.len());
            assert!(text.starts_with(unit) && text.ends_with(MARK), "{unit:?}");
            assert_eq!(object["after"], 1);
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let long = Value::from("x".repeat(5_000));
        let (line, object) =
            line(&[("a", long.clone()), ("b", long.clone()), ("c", long.clone()), ("d", long)]);
        assert!(line.len() <= LONGEST_LINE && line.ends_with("...[cut]\",\"left_out\":2}\n"), "{line}");
        assert!(object["c"].is_null());
    }

    #[test]
    fn an_endless_number_of_fields_is_still_one_short_line() {
        let fields = vec![("field_with_a_number", Value::from(u64::MAX)); 1_000];
        assert!(line(&fields).0.len() <= LONGEST_LINE);
    }
}
