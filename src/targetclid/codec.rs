//! The frame of an answer: an i32 in the byte order of the machine, then text.
//!
//! The length counts characters, not bytes (facts 2.2): only while all of it is ASCII is it known where an answer
//! ends. Whatever casts doubt on that is an error, after which the stream cannot be used any more.

/// Answers to our commands are a few lines. More than this is no length, but something else read as one.
const LONGEST_REPLY: usize = 1024 * 1024;

/// Bytes of the length.
const HEAD: usize = size_of::<i32>();

/// An answer that is being received.
#[derive(Debug, Default)]
pub(super) struct Reply {
    received: Vec<u8>,
}

/// Why the bytes are not one answer: the session is out of step.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// No answer is so long.
    #[error("an answer of {0} characters was announced")]
    Length(i32),
    /// The length does not tell where this answer ends.
    #[error("the answer is not ASCII")]
    NotAscii,
    /// More came than was announced.
    #[error("{0} bytes more than announced were received")]
    Surplus(usize),
}

impl Reply {
    /// Takes the next bytes; the text, as soon as it is complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<String>, FrameError> {
        self.received.extend_from_slice(bytes);
        let Some((head, body)) = self.received.split_first_chunk::<HEAD>() else { return Ok(None) };
        let announced = i32::from_ne_bytes(*head);
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= LONGEST_REPLY)
            .ok_or(FrameError::Length(announced))?;
        if !body.is_ascii() {
            return Err(FrameError::NotAscii);
        }
        match body.len().checked_sub(length) {
            None => Ok(None),
            Some(0) => Ok(Some(String::from_utf8_lossy(body).into_owned())),
            Some(surplus) => Err(FrameError::Surplus(surplus)),
        }
    }
}

/// An answer, the start of one, or an error, whatever was received.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(Some(text)) = Reply::default().push(bytes) {
        assert!(text.len() + HEAD == bytes.len() && text.is_ascii());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(length: i32, body: &[u8]) -> Vec<u8> {
        [&length.to_ne_bytes()[..], body].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Option<String>, FrameError> {
        Reply::default().push(bytes)
    }

    #[test]
    fn an_answer_of_no_characters_is_complete_with_its_length() {
        assert_eq!(decode(&frame(0, b"")), Ok(Some(String::new())));
    }

    #[test]
    fn an_answer_in_other_letters_is_out_of_step_although_its_characters_were_counted_right() {
        let text = "é".repeat(50);
        assert_eq!(decode(&frame(50, text.as_bytes())), Err(FrameError::NotAscii));
    }

    #[test]
    fn a_length_that_no_answer_has_is_out_of_step() {
        assert_eq!(decode(&frame(-1, b"")), Err(FrameError::Length(-1)));
        assert_eq!(decode(&frame(i32::MAX, b"")), Err(FrameError::Length(i32::MAX)));
    }

    #[test]
    fn fuzz_any_change_of_an_answer_is_an_answer_or_the_start_of_one_or_an_error() {
        support::fuzz::fuzz("targetclid_reply", fuzz);
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_however_it_is_cut(text in "[ -~\n]{0,300}", cut in 1usize..40) {
            let bytes = frame(i32::try_from(text.len()).unwrap(), text.as_bytes());
            let mut reply = Reply::default();
            let mut pieces = bytes.chunks(cut).peekable();
            while let Some(piece) = pieces.next() {
                let whole = pieces.peek().is_none().then(|| text.clone());
                prop_assert_eq!(reply.push(piece), Ok(whole));
            }
        }

        #[test]
        fn a_byte_too_many_is_never_part_of_an_answer(
            text in "[ -~\n]{0,300}",
            more in proptest::collection::vec(any::<u8>(), 1..50),
        ) {
            let bytes = [frame(i32::try_from(text.len()).unwrap(), text.as_bytes()), more].concat();
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_an_answer_or_the_start_of_one_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(Some(text)) = decode(&bytes) {
                prop_assert_eq!(text.len() + HEAD, bytes.len());
                prop_assert!(text.is_ascii());
            }
        }
    }
}
