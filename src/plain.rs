//! What libraries say of their errors, in one line that a person can read. Their own texts are chains of wrappers
//! ("dispatch failure: other: client error (Connect): ...") with Debug dumps in between, and what a server says is not
//! ours at all: it may hold control characters, or a book.

use std::error::Error;
use std::fmt;

/// Characters of a server's text that are shown.
const SHOWN: usize = 200;

/// One line, without a cause of its own: it is the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain(String);

impl Plain {
    /// Takes a line that is ours, apart from what went through [`shown`].
    pub fn new(line: impl Into<String>) -> Self {
        Plain(line.into())
    }

    /// The innermost cause of an error: what the kernel, the resolver, TLS or the parser said, without its wrappers.
    pub fn cause_of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        Plain(shown(&innermost.to_string()))
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Plain {}

/// A foreign text, cut, with whatever cannot be seen in it escaped.
pub fn shown(foreign: &str) -> String {
    let mut line = String::new();
    for character in foreign.chars().take(SHOWN) {
        match character {
            // What escape_debug would escape for the sake of a Rust literal.
            '"' | '\'' => line.push(character),
            _ => line.extend(character.escape_debug()),
        }
    }
    if foreign.chars().nth(SHOWN).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chain_the_innermost_cause_is_told() {
        let refused = std::io::Error::from_raw_os_error(111);
        let wrapped = actors::ports::TokenError::File { path: "/token".to_owned(), source: refused };
        assert_eq!(Plain::cause_of(&wrapped).to_string(), "Connection refused (os error 111)");
    }

    #[test]
    fn what_a_server_says_is_one_line_of_visible_characters_and_not_a_long_one() {
        assert_eq!(shown("it's \"no\""), "it's \"no\"");
        assert_eq!(shown("a\r\nlevel=error\t\u{1b}[2J\0é"), r"a\r\nlevel=error\t\u{1b}[2J\0é");
        assert_eq!(shown("\u{202e}backwards"), r"\u{202e}backwards");
        assert_eq!(shown(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(shown(&"é".repeat(201)), "é".repeat(200) + "...");
    }
}
