//! The S3 keys that s3fs and we share: its password file. No other source of credentials exists here: no environment,
//! no profile, no instance metadata.

use crate::aside::Aside;
use actors::ports::S3Error;
use aws_credential_types::Credentials;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the longest file we read: a line has about 70.
const LONGEST: u64 = 64 << 10;

/// The password file. It is read for every request, so that rotated keys are used at once; beside the actors, because
/// it may lie on a file system that hangs.
#[derive(Debug)]
pub struct CredentialFile {
    path: Arc<Path>,
    aside: Aside,
    timeout: Duration,
}

impl CredentialFile {
    /// Nothing is read yet; later, each reading has this deadline.
    pub fn new(path: PathBuf, timeout: Duration) -> Self {
        CredentialFile { path: path.into(), aside: Aside::default(), timeout }
    }

    /// The keys of its last line: those who rotate them append.
    pub async fn read(&self) -> Result<Credentials, S3Error> {
        let path = Arc::clone(&self.path);
        let read = self.aside.ask(self.timeout, move || contents(&path)).await;
        let text = read
            .unwrap_or_else(|error| match error.kind() {
                io::ErrorKind::TimedOut => Err("did not answer in time: see to its file system".to_owned()),
                _ => Err(format!("cannot be read: {error}")),
            })
            .map_err(|problem| self.unusable(problem))?;
        last_keys(&text).map_err(|problem| self.unusable(problem.to_owned()))
    }

    fn unusable(&self, problem: String) -> S3Error {
        S3Error::Credentials { path: self.path.display().to_string(), problem }
    }
}

/// The text of a regular file. Of a FIFO or a device nothing is read: not even opening waits.
fn contents(path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot be read: {error}");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let stat = fstat(&file).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("is not a regular file; put a line KEY:SECRET into one".to_owned());
    }
    let mut text = String::new();
    File::from(file).take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn last_keys(text: &str) -> Result<Credentials, &'static str> {
    // Comments as s3fs has them.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // s3fs's third form, BUCKET:KEY:SECRET, would sign with the wrong words: better no answer than a riddle.
    match lines.next_back().map(|line| line.split(':').collect::<Vec<_>>()).as_deref() {
        Some([key, secret]) if !key.is_empty() && !secret.is_empty() => {
            Ok(Credentials::new(*key, *secret, None, None, "s3fs password file"))
        }
        Some(_) => Err("has a last line that is not KEY:SECRET; put the keys there"),
        None => Err("is empty; put a line KEY:SECRET there"),
    }
}

/// Keys or a refusal, whatever is in the file.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(keys) = last_keys(&String::from_utf8_lossy(bytes)) {
        assert!(!keys.access_key_id().is_empty() && !keys.secret_access_key().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::ports::PortError;
    use rustix::fs::{CWD, mknodat};

    /// Of questions that are answered at once, however slow this machine is.
    const LONG: Duration = Duration::from_secs(60);

    async fn read(text: &str) -> Result<(String, String), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".ims.s3fs");
        std::fs::write(&path, text).unwrap();
        let keys = CredentialFile::new(path, LONG).read().await.map_err(|error| error.to_string())?;
        Ok((keys.access_key_id().to_owned(), keys.secret_access_key().to_owned()))
    }

    #[test]
    fn fuzz_keys_are_read_or_refused_whatever_is_in_the_file() {
        support::fuzz::fuzz("credentials", fuzz);
    }

    #[tokio::test]
    async fn the_last_line_with_content_counts() {
        let newest = Ok(("NEW".to_owned(), "b+/=".to_owned()));
        assert_eq!(read("OLD:a\nNEW:b+/=\n").await, newest);
        assert_eq!(read("OLD:a\r\n NEW:b+/= \r\n\n# rotated\n \n").await, newest);
    }

    #[tokio::test]
    async fn what_is_not_key_and_secret_is_refused_with_a_remedy_and_without_the_secret() {
        for text in ["", "\n\n", "# only a comment", "geheim", ":geheim", "KEY:", "bucket:KEY:geheim"] {
            let error = read(text).await.unwrap_err();
            assert!(error.contains("KEY:SECRET") && !error.contains("geheim"), "{text:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = CredentialFile::new("/no/such/keys".into(), LONG).read().await.unwrap_err();
        assert!(error.to_string().starts_with("credential file /no/such/keys cannot be read"));
        assert_eq!(error.kind(), "credentials");
    }

    #[tokio::test]
    async fn r14_a_fifo_is_refused_without_waiting_for_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("keys");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        for path in [fifo, dir.path().to_owned(), "/dev/null".into()] {
            let error = CredentialFile::new(path.clone(), LONG).read().await.unwrap_err();
            assert!(error.to_string().contains("is not a regular file"), "{}: {error}", path.display());
        }
    }

    #[tokio::test]
    async fn r14_a_file_system_that_hangs_is_given_up_within_the_deadline() {
        let file = CredentialFile::new("/no/such/keys".into(), Duration::from_millis(10));
        let (come_back, hung) = std::sync::mpsc::channel::<()>();
        // What hangs is the read before: so it is with a file system.
        let before = file.aside.ask(file.timeout, move || hung.recv().is_ok()).await;
        assert!(before.is_err());
        let error = file.read().await.unwrap_err();
        assert!(error.to_string().contains("did not answer in time"), "{error}");
        drop(come_back);
    }
}
