//! The cause of a library's error, in one plain line. Its own text is a chain of wrappers ("dispatch failure: other:
//! client error (Connect): ...") with Debug dumps in between.

use crate::causes::{SHOWN, chain, one_line};
use std::error::Error;
use std::fmt;

/// One line, without a cause of its own: it is the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain(String);

impl Plain {
    /// Takes a line that is ours; what is not in it went through [`one_line`].
    pub fn new(line: impl Into<String>) -> Self {
        Plain(line.into())
    }

    /// The innermost cause of an error: what the kernel, the resolver, TLS or the parser said, without its wrappers. A
    /// line that was made plain before stays as it is.
    pub fn cause_of(error: &(dyn Error + 'static)) -> Self {
        if let Some(Plain(line)) = chain(error).find_map(|cause| cause.downcast_ref()) {
            return Plain(line.clone());
        }
        Plain(chain(error).last().map(|cause| one_line(&cause.to_string(), SHOWN)).unwrap_or_default())
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Plain {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Wrapper(#[source] io::Error);

    #[test]
    fn of_a_chain_the_innermost_cause_is_told_in_one_line() {
        let refused = Wrapper(io::Error::from_raw_os_error(111));
        assert_eq!(Plain::cause_of(&refused).to_string(), "Connection refused (os error 111)");
        let foreign = Wrapper(io::Error::other("no\nlevel=error\u{1b}[2J"));
        assert_eq!(Plain::cause_of(&foreign).to_string(), r"no\nlevel=error\u{1b}[2J");
    }
}
