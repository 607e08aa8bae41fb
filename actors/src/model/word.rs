//! The tokens that targetclid may be sent (R9).
//!
//! targetclid has no quoting: `%` separates commands and any character outside its grammar silently cuts the
//! parameter (facts 2.3). So a word exists only if every character of it is harmless, and a `Step`
//! is made of nothing but words.

use std::fmt;

/// The kernel cuts a fileio path at 255 characters without a word, and opens what is left (facts 3.8).
pub const LONGEST_WORD: usize = 255;

/// The heart of targetclid's end marker, `-END@OF@DATA-`; without its dashes, which words beside it could bring.
const END_MARKER: &str = "END@OF@DATA";

/// Text that is safe as one parameter of a targetcli command: 1 to 255 characters of `[A-Za-z0-9_./:+@~-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

/// Why a text is not a [`Word`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing to say.
    #[error("it is empty")]
    Empty,
    /// Longer than the kernel keeps.
    #[error("it has {0} characters, the kernel keeps {LONGEST_WORD}")]
    TooLong(usize),
    /// A character that targetclid would cut at, or take for a new command.
    #[error("character {0:?} is not one of A-Z a-z 0-9 _ . / : + @ ~ -")]
    Character(char),
    /// targetclid ends the session as soon as this is anywhere in what it receives.
    #[error("it holds {END_MARKER}, which ends a session with targetclid")]
    EndMarker,
}

impl Word {
    /// Hex digits, which are harmless, as every part of them is: identities are made and cut by the thousand in a pass.
    pub(super) fn of_hex(digits: &str) -> Self {
        debug_assert!(Word::try_from(digits).is_ok(), "{digits:?}");
        Word(digits.to_owned())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = WordError;

    fn try_from(text: String) -> Result<Self, WordError> {
        if text.is_empty() {
            return Err(WordError::Empty);
        }
        if let Some(unfit) = text.chars().find(|c| !is_harmless(*c)) {
            return Err(WordError::Character(unfit));
        }
        if text.contains(END_MARKER) {
            return Err(WordError::EndMarker);
        }
        if text.len() > LONGEST_WORD {
            return Err(WordError::TooLong(text.len()));
        }
        Ok(Word(text))
    }
}

impl TryFrom<&str> for Word {
    type Error = WordError;

    fn try_from(text: &str) -> Result<Self, WordError> {
        Word::try_from(text.to_owned())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_harmless(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '/' | ':' | '+' | '@' | '~' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r9_a_percent_sign_never_becomes_a_word() {
        assert_eq!(Word::try_from("/x%/backstores/fileio"), Err(WordError::Character('%')));
    }

    #[test]
    fn r9_spaces_quotes_controls_and_other_alphabets_never_become_a_word() {
        for text in
            ["a b", "a\"b", "a'b", "a\nb", "a\u{1}b", "é", "a,b", "a=b", "a|b", "{", "$x", "a\\b", "*"]
        {
            assert!(matches!(Word::try_from(text), Err(WordError::Character(_))), "{text:?}");
        }
    }

    #[test]
    fn r9_the_end_marker_of_targetclid_never_becomes_a_word() {
        for text in ["-END@OF@DATA-", "/boot/PE/x-END@OF@DATA-y.squashfs", "END@OF@DATA"] {
            assert_eq!(Word::try_from(text), Err(WordError::EndMarker));
        }
        assert!(Word::try_from("/boot/PE/END@DATA").is_ok());
    }

    #[test]
    fn r9_a_path_of_255_characters_is_a_word_and_one_of_256_is_not() {
        assert!(Word::try_from("a".repeat(255)).is_ok());
        assert_eq!(Word::try_from("a".repeat(256)), Err(WordError::TooLong(256)));
        assert_eq!(Word::try_from(""), Err(WordError::Empty));
    }

    proptest! {
        #[test]
        fn r9_whatever_becomes_a_word_is_one_harmless_ascii_token(text in any::<String>()) {
            if let Ok(word) = Word::try_from(text.clone()) {
                prop_assert_eq!(word.as_str(), text.as_str());
                let harmless = |b: u8| b.is_ascii_graphic() && !b"%\"'=,|{}[]*$\\".contains(&b);
                prop_assert!(text.bytes().all(harmless));
            }
        }
    }
}
