//! Errors and foreign text as a person reads them: every cause, one line, nothing that a terminal obeys.

pub use actors::model::{chain, with_causes};

/// The most characters of a text that is shown to a person. A manifest may name a megabyte.
pub const SHOWN: usize = 200;

/// One line of at most so many characters, with escapes for what is no character to be seen: a control character could
/// move the cursor or colour the terminal, and a bidirectional one could reorder the line.
pub fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut left = longest;
    for c in text.chars() {
        let seen: String = match c {
            '"' | '\'' | '\\' => c.into(),
            c => c.escape_debug().collect(),
        };
        match left.checked_sub(seen.chars().count()) {
            Some(rest) => left = rest,
            None => return line + "...",
        }
        line.push_str(&seen);
    }
    line
}

/// `1 image`, `2 images`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_told_to_its_last_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("the list did not come")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(with_causes(&error), "the list did not come: connection refused");
    }

    #[test]
    fn a_text_for_a_person_is_one_short_line_that_no_terminal_obeys() {
        assert_eq!(one_line("its key \"PE/é\" isn't C:\\", SHOWN), "its key \"PE/é\" isn't C:\\");
        assert_eq!(one_line("a\n\tb\u{1b}[2Jc\u{9b}d\u{202e}e", SHOWN), r"a\n\tb\u{1b}[2Jc\u{9b}d\u{202e}e");
        let long = one_line(&"x".repeat(1 << 20), SHOWN);
        assert_eq!(long, format!("{}...", "x".repeat(200)));
        assert!(one_line(&"\u{1b}".repeat(1 << 20), SHOWN).len() < 210);
    }
}
