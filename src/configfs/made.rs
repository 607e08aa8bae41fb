//! What is being made in configfs. What fails is taken back.

use actors::ports::LioError;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What has been made so far: unless it is kept, it is taken back in reverse order.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<Thing>);

#[derive(Debug)]
enum Thing {
    Folder(PathBuf),
    Link(PathBuf),
}

impl Made {
    /// A new folder, with all that the kernel puts into it.
    pub(super) fn folder(&mut self, path: PathBuf) -> Result<PathBuf, LioError> {
        fs::create_dir(&path).map_err(|source| failed(&path, source))?;
        self.0.push(Thing::Folder(path.clone()));
        Ok(path)
    }

    /// A new link.
    pub(super) fn link(&mut self, target: &Path, path: PathBuf) -> Result<(), LioError> {
        symlink(target, &path).map_err(|source| failed(&path, source))?;
        self.0.push(Thing::Link(path));
        Ok(())
    }

    /// All of it is as it should be.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for thing in self.0.drain(..).rev() {
            let (path, gone) = match &thing {
                Thing::Folder(path) => (path, remove_folder(path)),
                Thing::Link(path) => (path, fs::remove_file(path).map_err(|source| failed(path, source))),
            };
            // Half made then, which the next pass sees.
            if let Err(error) = gone {
                tracing::debug!(path = %path.display(), %error, "it could not be taken back");
            }
        }
    }
}

/// An attribute: the kernel takes what one write gives it.
pub(super) fn write(path: &Path, value: &str) -> Result<(), LioError> {
    let written = fs::OpenOptions::new().write(true).open(path).and_then(|file| {
        // Never in two pieces.
        let count = rustix::io::write(&file, value.as_bytes())?;
        if count == value.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    });
    written.map_err(|source| failed(path, source))
}

/// A folder without links and without folders that somebody has made in it.
pub(super) fn remove_folder(path: &Path) -> Result<(), LioError> {
    fs::remove_dir(path).map_err(|source| failed(path, source))
}

/// A link.
pub(super) fn remove_link(path: &Path) -> Result<(), LioError> {
    fs::remove_file(path).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> LioError {
    LioError::Write { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_taken_back_in_reverse_order_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        let make = |made: &mut Made| {
            made.folder(at("hba"))?;
            made.folder(at("hba/name"))?;
            made.link(&at("theirs"), at("hba/name/link"))?;
            made.folder(at("theirs"))
        };
        let mut made = Made::default();
        let error = make(&mut made).unwrap_err();
        assert!(error.to_string().ends_with("theirs cannot be written"), "{error}");
        drop(made);
        assert!(!at("hba").exists() && at("theirs").exists());
        let mut made = Made::default();
        made.folder(at("hba")).unwrap();
        made.keep();
        assert!(at("hba").exists());
    }

    #[test]
    fn an_attribute_that_is_not_there_is_an_error_and_no_new_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enable");
        assert!(matches!(write(&path, "1"), Err(LioError::Write { .. })));
        assert!(!path.exists());
    }
}
