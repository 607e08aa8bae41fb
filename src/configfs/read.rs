//! Reading a tree that other tools change meanwhile: what has vanished is gone, any other failure is an error (R2).

use actors::ports::LioError;
use std::fs::{self, FileType};
use std::io;
use std::path::Path;

/// An attribute that is `0` or `1`.
pub(super) fn flag(path: &Path) -> Result<Option<bool>, LioError> {
    Ok(present(text(path))?.map(|text| text == "1"))
}

/// The text of a file, without the blanks around it. Foreign paths may be anything, so no encoding is an error.
pub(super) fn text(path: &Path) -> Result<String, LioError> {
    let bytes = at(path, |path| fs::read(path))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The names of the entries of this type.
pub(super) fn list(folder: &Path, wanted: fn(&FileType) -> bool) -> Result<Vec<String>, LioError> {
    let mut names = Vec::new();
    for entry in at(folder, |folder| fs::read_dir(folder))? {
        let entry = at(folder, |_| entry)?;
        if present(at(&entry.path(), |_| entry.file_type()))?.is_some_and(|kind| wanted(&kind)) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Gone is `None`; any other error stays one.
pub(super) fn present<T>(found: Result<T, LioError>) -> Result<Option<T>, LioError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(LioError::Configfs { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says where an operation failed.
pub(super) fn at<T>(path: &Path, operation: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, LioError> {
    operation(path).map_err(|source| LioError::Configfs { path: path.display().to_string(), source })
}
