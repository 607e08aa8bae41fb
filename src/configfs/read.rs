//! Reading a tree that other tools change meanwhile: what has vanished is gone, any other failure is an error (R2).

use actors::ports::LioError;
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat, readlinkat};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
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

    /// A folder below it; `None` if there is none.
    pub(super) fn below(&self, name: &str) -> Result<Option<Self>, LioError> {
        let path = self.path.join(name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = at(&path, |_| {
            let fd = openat(&self.fd, name, flags, Mode::empty())?;
            let inode = fstat(&fd)?.st_ino;
            Ok((fd, inode))
        });
        Ok(present(opened)?.map(|(fd, inode)| Folder { fd, path, inode }))
    }

    /// The names of the entries of this type in a folder below it; `None` if there is no such folder.
    pub(super) fn list(&self, below: &str, wanted: FileType) -> Result<Option<Vec<String>>, LioError> {
        let path = self.path.join(below);
        present(at(&path, |_| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let mut names = Vec::new();
            for entry in Dir::new(openat(&self.fd, below, flags, Mode::empty())?)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy();
                if entry.file_type() == FileType::Unknown {
                    // configfs always says it: a shorter list is what must not be (R2).
                    return Err(io::Error::other(format!("it does not say what {name} is")));
                }
                if entry.file_type() == wanted && name != "." && name != ".." {
                    names.push(name.into_owned());
                }
            }
            Ok(names)
        }))
    }

    /// Where a link below it leads; `None` if there is none.
    pub(super) fn link(&self, below: &str) -> Result<Option<PathBuf>, LioError> {
        present(at(&self.path.join(below), |_| {
            let target = readlinkat(&self.fd, below, Vec::new())?;
            Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
        }))
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

    /// How many links it has: two, and one of each folder in it. `None` where the file system does not count them.
    pub(super) fn links(&self) -> Result<Option<u64>, LioError> {
        let links = at(&self.path, |_| Ok(fstat(&self.fd)?.st_nlink))?;
        Ok(Some(links).filter(|links| *links >= 2))
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
