//! A JSON object of one line that is never too long and never broken.

use serde_json::Value;

/// Splunk cuts at 10,000 bytes and journald at 48 KiB, both in the middle of an object (facts P58).
const LONGEST_LINE: usize = 8 * 1024;

/// One value may not take the room of all others.
const LONGEST_TEXT: usize = 4 * 1024;

/// Kept free for [`Line::end`].
const LONGEST_END: usize = 64;

/// What stands where text was cut.
const MARK: &str = "...[cut]";

/// A line while it grows.
pub(super) struct Line {
    text: String,
    left_out: usize,
}

impl Line {
    /// Nothing in it.
    pub fn start() -> Line {
        Line { text: String::new(), left_out: 0 }
    }

    /// One key. Text is cut to what there is room for; what does not fit at all is counted.
    pub fn put(&mut self, key: &str, value: &Value) {
        let before = format!("{}\"{key}\":", if self.text.is_empty() { '{' } else { ',' });
        let room = (LONGEST_LINE - LONGEST_END).saturating_sub(self.text.len() + before.len());
        match encoded(value, room.min(LONGEST_TEXT)) {
            Some(value) => {
                self.text.push_str(&before);
                self.text.push_str(&value);
            }
            None => self.left_out += 1,
        }
    }

    /// The line, with its newline.
    pub fn end(mut self) -> String {
        if self.left_out > 0 {
            self.text.push_str(&format!(",\"fields_left_out\":{}", self.left_out));
        }
        self.text.push_str("}\n");
        self.text
    }
}

/// The value as JSON of at most `room` bytes.
fn encoded(value: &Value, room: usize) -> Option<String> {
    let whole = value.to_string();
    if whole.len() <= room {
        return Some(whole);
    }
    let text = value.as_str()?;
    let mut room = room.checked_sub(MARK.len() + "\"\"".len())?;
    let mut kept = String::new();
    for c in text.chars() {
        match room.checked_sub(encoded_len(c)) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(c);
    }
    Some(Value::from(kept + MARK).to_string())
}

/// Bytes of a character in JSON; control characters are `\u001f` at most.
fn encoded_len(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[(&str, Value)]) -> (String, Value) {
        let mut line = Line::start();
        for (key, value) in values {
            line.put(key, value);
        }
        let line = line.end();
        let object = serde_json::from_str(&line).unwrap();
        (line, object)
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark_and_the_object_stays_whole() {
        for unit in ["x", "é", "\"", "\n", "\u{1}", "🦀"] {
            let (line, object) = line(&[("text", unit.repeat(10_000).into()), ("after", 1.into())]);
            let text = object["text"].as_str().unwrap();
            assert!(line.len() < LONGEST_LINE && line.len() > 1_000, "{unit:?}: {}", line.len());
            assert!(text.starts_with(unit) && text.ends_with(MARK), "{unit:?}");
            assert_eq!(object["after"], 1);
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let long = Value::from("x".repeat(5_000));
        let (line, object) =
            line(&[("a", long.clone()), ("b", long.clone()), ("c", long.clone()), ("d", long)]);
        assert!(
            line.len() <= LONGEST_LINE && line.ends_with("...[cut]\",\"fields_left_out\":2}\n"),
            "{line}"
        );
        assert!(object["c"].is_null());
    }

    #[test]
    fn an_endless_number_of_fields_is_still_one_short_line() {
        let fields = vec![("field_with_a_number", Value::from(u64::MAX)); 1_000];
        assert!(line(&fields).0.len() <= LONGEST_LINE);
    }
}
