//! Reading a tree that other tools change meanwhile: what has vanished is gone, any other failure is an error (R2).

use actors::ports::LioError;
use rustix::fs::{Mode, OFlags, fstat, openat};
use std::fs::{self, FileType};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A folder of configfs, opened once: its attributes are read without walking the whole path for each, which is most of
/// what a pass over hundreds of backstores costs.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    /// Its inode.
    pub(super) inode: u64,
}

impl Folder {
    /// `None` if there is none.
    pub(super) fn open(path: PathBuf) -> Result<Option<Self>, LioError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = at(&path, |path| {
            let fd = rustix::fs::open(path, flags, Mode::empty())?;
            let inode = fstat(&fd)?.st_ino;
            Ok((fd, inode))
        });
        Ok(present(opened)?.map(|(fd, inode)| Folder { fd, path, inode }))
    }

    /// The text of an attribute, without the blanks around it; `None` if there is none.
    pub(super) fn text(&self, attribute: &str) -> Result<Option<String>, LioError> {
        present(at(&self.path.join(attribute), |_| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = openat(&self.fd, attribute, flags, Mode::empty())?;
            let (mut page, mut bytes) = ([0; PAGE], Vec::new());
            loop {
                let count = rustix::io::read(&file, &mut page)?;
                bytes.extend(page.iter().take(count));
                // One read gives all of an attribute: what is less than a page is its end.
                if count < PAGE {
                    return Ok(trimmed(&bytes));
                }
            }
        }))
    }

    /// An attribute that is `0` or `1`.
    pub(super) fn flag(&self, attribute: &str) -> Result<Option<bool>, LioError> {
        Ok(self.text(attribute)?.map(|text| text == "1"))
    }

    /// Whether it is still there. A folder that was removed has no link any more, also where another is in its place.
    pub(super) fn is_there(&self) -> Result<bool, LioError> {
        at(&self.path, |_| Ok(fstat(&self.fd)?.st_nlink > 0))
    }
}

/// Bytes: the kernel gives an attribute one page.
const PAGE: usize = 4096;

/// Foreign paths may be anything, so no encoding is an error.
fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// An attribute that is `0` or `1`.
pub(super) fn flag(path: &Path) -> Result<Option<bool>, LioError> {
    Ok(present(text(path))?.map(|text| text == "1"))
}

/// The text of a file, without the blanks around it.
pub(super) fn text(path: &Path) -> Result<String, LioError> {
    at(path, |path| fs::read(path)).map(|bytes| trimmed(&bytes))
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
