//! The S3 keys that s3fs and we share: its password file. No other source of credentials exists here: no environment,
//! no profile, no instance metadata.

use actors::ports::S3Error;
use aws_credential_types::Credentials;
use std::path::PathBuf;

/// The password file. It is read for every request, so that rotated keys are used at once.
#[derive(Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// Nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        KeyFile(path)
    }

    /// The keys of its last line: those who rotate them append.
    pub fn read(&self) -> Result<Credentials, S3Error> {
        let unusable = |problem: String| S3Error::Credentials { path: self.0.display().to_string(), problem };
        let text =
            std::fs::read_to_string(&self.0).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        // Comments as s3fs has them.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // s3fs's third form, BUCKET:KEY:SECRET, would sign with the wrong words: better no answer than a riddle.
        match lines.next_back().map(|line| line.split(':').collect::<Vec<_>>()).as_deref() {
            Some([key, secret]) if !key.is_empty() && !secret.is_empty() => {
                Ok(Credentials::new(*key, *secret, None, None, "s3fs password file"))
            }
            Some(_) => Err(unusable("has a last line that is not KEY:SECRET; put the keys there".to_owned())),
            None => Err(unusable("is empty; put a line KEY:SECRET there".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".ims.s3fs");
        std::fs::write(&path, text).unwrap();
        let keys = KeyFile::new(path).read().map_err(|error| error.to_string())?;
        Ok((keys.access_key_id().to_owned(), keys.secret_access_key().to_owned()))
    }

    #[test]
    fn the_last_line_with_content_counts() {
        let newest = Ok(("NEW".to_owned(), "b+/=".to_owned()));
        assert_eq!(read("OLD:a\nNEW:b+/=\n"), newest);
        assert_eq!(read("OLD:a\r\n NEW:b+/= \r\n\n# rotated\n \n"), newest);
    }

    #[test]
    fn what_is_not_key_and_secret_is_refused_with_a_remedy_and_without_the_secret() {
        for text in ["", "\n\n", "# only a comment", "geheim", ":geheim", "KEY:", "bucket:KEY:geheim"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("KEY:SECRET") && !error.contains("geheim"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = KeyFile::new("/no/such/keys".into()).read().unwrap_err();
        assert!(error.to_string().starts_with("credential file /no/such/keys cannot be read"));
        assert_eq!(error.kind(), "credentials");
    }
}
