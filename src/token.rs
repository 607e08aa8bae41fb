//! Bearer tokens from a file that somebody else keeps fresh.

use crate::aside::Aside;
use crate::files;
use actors::ports::{Token, TokenError, TokenPort};
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of the longest file that is read: no server takes a header of half of it.
const LONGEST: u64 = 64 << 10;

/// The token file, read for every call: whoever renews it replaces its content at any time.
#[derive(Debug)]
pub struct FileToken {
    path: Option<PathBuf>,
    limit: Duration,
    last: RefCell<Option<Token>>,
    aside: Aside,
}

impl FileToken {
    /// Reads this file within `limit`; without one, the site uses no tokens.
    pub fn new(path: Option<PathBuf>, limit: Duration) -> Self {
        FileToken { path, limit, last: RefCell::new(None), aside: Aside::default() }
    }
}

impl FileToken {
    /// Whether there is a file at all.
    pub fn is_used(&self) -> bool {
        self.path.is_some()
    }
}

impl TokenPort for FileToken {
    async fn token(&self, renew: bool) -> Result<Option<Token>, TokenError> {
        let Some(path) = &self.path else { return Ok(None) };
        let shown = || path.display().to_string();
        let unusable = |problem| TokenError::Content { path: shown(), problem };
        let file = path.clone();
        let bytes = self.aside.ask(self.limit, move || files::read_up_to(&file, LONGEST)).await;
        let bytes = bytes.flatten().map_err(|source| TokenError::File { path: shown(), source })?;
        let text = bytes.trim_ascii();
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        // Anything else would end the header, or start another one.
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(unusable("holds more than one word of ASCII"));
        }
        let token = Some(Token::new(String::from_utf8_lossy(text)));
        let last = self.last.replace(token.clone());
        if renew && last == token {
            return Err(unusable("still holds the token that was refused"));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::FILE_LIMIT;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    struct File(tempfile::TempDir);

    impl File {
        fn with(text: &str) -> (Self, FileToken) {
            let file = File(tempfile::tempdir().unwrap());
            file.write(text);
            let token = FileToken::new(Some(file.0.path().join("token")), FILE_LIMIT);
            (file, token)
        }

        fn write(&self, text: &str) {
            std::fs::write(self.0.path().join("token"), text).unwrap();
        }
    }

    #[tokio::test]
    async fn without_a_file_there_is_no_token() {
        assert_eq!(FileToken::new(None, FILE_LIMIT).token(false).await.unwrap(), None);
        assert_eq!(FileToken::new(None, FILE_LIMIT).token(true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_token_is_trimmed_and_the_file_is_read_each_time() {
        let (file, token) = File::with(" one\n");
        assert_eq!(token.token(false).await.unwrap(), Some(Token::new("one")));
        assert_eq!(token.token(false).await.unwrap(), Some(Token::new("one")));
        file.write("two\r\n");
        assert_eq!(token.token(true).await.unwrap(), Some(Token::new("two")));
    }

    #[tokio::test]
    async fn a_refused_token_is_not_handed_out_again_as_renewed() {
        let (_file, token) = File::with("one");
        assert!(token.token(false).await.is_ok());
        let error = token.token(true).await.unwrap_err().to_string();
        assert!(error.ends_with("still holds the token that was refused"), "{error}");
    }

    #[tokio::test]
    async fn what_could_not_be_one_header_value_is_refused_and_never_shown() {
        for text in ["", " \n", "one\ntwo", "one two", "s\u{0}", "geheim\u{e9}"] {
            let (_file, token) = File::with(text);
            let error = token.token(false).await.unwrap_err();
            assert!(matches!(error, TokenError::Content { .. }), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("geheim"));
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_and_not_the_absence_of_tokens() {
        let error = FileToken::new(Some("/no/such/token".into()), FILE_LIMIT).token(false).await.unwrap_err();
        assert!(matches!(error, TokenError::File { .. }));
    }

    #[tokio::test]
    async fn m2_a_token_file_that_nobody_writes_to_ends_in_time_and_blocks_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("token");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let token = FileToken::new(Some(fifo.clone()), Duration::from_millis(50));
        // Were it read on this thread, this one would have to let it go, late.
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        let rescue = std::thread::spawn(move || {
            let _ = waiting.recv_timeout(FILE_LIMIT);
            std::fs::write(&fifo, "late\n").unwrap();
        });
        // On this one thread, as in the agent: what blocked it would leave the other branch unasked.
        let (late, other) = tokio::join!(token.token(false), async { "asked" });
        assert_eq!(other, "asked");
        let TokenError::File { source, .. } = late.unwrap_err() else {
            panic!("it is the file that is late")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
        drop(done);
        rescue.join().unwrap();
    }
}
