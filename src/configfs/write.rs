//! The five writes that configfs knows.

use actors::ports::LioError;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A new folder, with all that the kernel puts into it.
pub(super) fn make_folder(path: &Path) -> Result<(), LioError> {
    fs::create_dir(path).map_err(|source| failed(path, source))
}

/// A new link.
pub(super) fn make_link(target: &Path, path: &Path) -> Result<(), LioError> {
    symlink(target, path).map_err(|source| failed(path, source))
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

/// Why it was not written.
pub(super) fn failed(path: &Path, source: io::Error) -> LioError {
    LioError::Write { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_is_not_there_is_an_error_and_no_new_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enable");
        let error = write(&path, "1").unwrap_err();
        assert!(error.to_string().ends_with("enable cannot be written"), "{error}");
        assert!(!path.exists());
    }
}
