//! Small files of our own: read within bounds, written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// For root alone.
const PRIVATE: u32 = 0o600;

/// For whoever may enter the folder.
const PUBLIC: u32 = 0o644;

/// Where the agent is to be found.
#[derive(Clone, Copy, Debug)]
pub struct Folders<'a> {
    /// Of its lock, and of what is left for it; empty after a boot.
    pub runtime_dir: &'a Path,
    /// Of what it remembers.
    pub state_dir: &'a Path,
}

/// The first `limit` bytes of a file.
pub fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file of mode 0600 there in one step: whoever reads it sees the old content or the new, and a power cut
/// leaves one of them. Its folder is made if it is not there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    put(dir, path, bytes, PRIVATE)
}

/// The same for a file that others read, in a folder of theirs: that is not made.
pub fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path.parent().ok_or(io::ErrorKind::InvalidInput)?, path, bytes, PUBLIC)
}

fn put(dir: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = beside(path);
    let written = write_new(&new, bytes, mode).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed either tells nothing new.
        let _ = fs::remove_file(&new);
    }
    written?;
    // Without this the rename itself may be lost.
    File::open(dir)?.sync_all()
}

/// Always the same name: a torn one is written over the next time, and none pile up.
fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // A torn one that was left goes first: made anew, the file is ours with our mode, and no symlink is followed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask is that of whoever started us.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_others_can_be_read_by_them_and_its_folder_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.prom");
        publish(&path, b"one").unwrap();
        publish(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(publish(&folder.path().join("no/x.prom"), b"one").is_err());
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_up_to(&path, 100).unwrap(), b"two");
        assert_eq!(read_up_to(&path, 2).unwrap(), b"tw");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_one_of_any_mode_or_a_symlink_in_its_place_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, beside(&path)).unwrap();
        replace(&path, b"one").unwrap();
        fs::write(beside(&path), "torn").unwrap();
        fs::set_permissions(beside(&path), fs::Permissions::from_mode(0o666)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"old").unwrap();
        // A folder in the way, which not even root can write over.
        fs::create_dir(beside(&path)).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(read_up_to(&path, 100).unwrap(), b"old");
    }
}
