//! Bearer tokens from a file that somebody else keeps fresh.

use actors::ports::{Token, TokenError, TokenPort};
use std::cell::RefCell;
use std::path::PathBuf;

/// The token file, read for every call: whoever renews it replaces its content at any time.
#[derive(Debug)]
pub struct FileToken {
    path: Option<PathBuf>,
    last: RefCell<Option<Token>>,
}

impl FileToken {
    /// Reads this file; without one, the site uses no tokens.
    pub fn new(path: Option<PathBuf>) -> Self {
        FileToken { path, last: RefCell::new(None) }
    }
}

impl TokenPort for FileToken {
    async fn token(&self, renew: bool) -> Result<Option<Token>, TokenError> {
        let Some(path) = &self.path else { return Ok(None) };
        let shown = || path.display().to_string();
        let unusable = |problem| TokenError::Content { path: shown(), problem };
        let text =
            std::fs::read_to_string(path).map_err(|source| TokenError::File { path: shown(), source })?;
        let text = text.trim();
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        // Anything else would end the header, or start another one.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("holds more than one word of ASCII"));
        }
        let token = Some(Token::new(text));
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

    struct File(tempfile::TempDir);

    impl File {
        fn with(text: &str) -> (Self, FileToken) {
            let file = File(tempfile::tempdir().unwrap());
            file.write(text);
            let token = FileToken::new(Some(file.0.path().join("token")));
            (file, token)
        }

        fn write(&self, text: &str) {
            std::fs::write(self.0.path().join("token"), text).unwrap();
        }
    }

    #[tokio::test]
    async fn without_a_file_there_is_no_token() {
        assert_eq!(FileToken::new(None).token(false).await.unwrap(), None);
        assert_eq!(FileToken::new(None).token(true).await.unwrap(), None);
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
        let error = FileToken::new(Some("/no/such/token".into())).token(false).await.unwrap_err();
        assert!(matches!(error, TokenError::File { .. }));
    }
}
