//! Files beneath the root of the mount. The keys are untrusted: a symlink in the bucket may point to /etc/shadow, and the
//! predecessor has exported it (facts 4.3). So the kernel resolves them, beneath the mount and nowhere else.

use actors::decide::squashfs::SUPERBLOCK_BYTES;
use actors::model::FileFacts;
use actors::model::ObjectKey;
use actors::ports::MountError;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Size, mode and head of the regular file that the key is.
pub fn read(root: &OwnedFd, key: &ObjectKey) -> Result<FileFacts, MountError> {
    // O_NONBLOCK: opening a FIFO must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match open(root, key, flags) {
        // So says a nodev mount of device nodes, whatever their permissions.
        Err(error @ MountError::Refused { .. }) => return Err(stat(root, key).err().unwrap_or(error)),
        opened => opened?,
    };
    let stat = stat_of(&file, key)?;
    let mut head = vec![0; SUPERBLOCK_BYTES];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest).map_err(|errno| explained(key, errno))? {
            0 => break,
            count => filled += count,
        }
    }
    head.truncate(filled);
    Ok(FileFacts { size: stat.st_size.unsigned_abs(), head, mode: stat.st_mode & 0o7777 })
}

/// Looks up the regular file that the key is: with O_PATH, which asks the daemon for its facts and for nothing else.
/// Without O_NOFOLLOW, which would make a symlink at the end of the path a find instead of an error.
pub fn stat(root: &OwnedFd, key: &ObjectKey) -> Result<Stat, MountError> {
    stat_of(&open(root, key, OFlags::PATH)?, key)
}

/// The same file, held, and its size: who has it can open no other.
pub fn open_regular(root: &OwnedFd, key: &ObjectKey) -> Result<(OwnedFd, u64), MountError> {
    let file = open(root, key, OFlags::PATH)?;
    let size = stat_of(&file, key)?.st_size.unsigned_abs();
    Ok((file, size))
}

/// Opens what the key names, beneath the root.
fn open(root: &OwnedFd, key: &ObjectKey, flags: OFlags) -> Result<OwnedFd, MountError> {
    // What is no name is refused before the kernel sees it.
    if !key.is_plain() {
        return Err(MountError::Escape { key: key.to_string() });
    }
    let beneath = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    // A kernel or sandbox without openat2 is an error: any other way to open would be a way out.
    let opened = openat2(root, key.as_str(), flags | OFlags::CLOEXEC, Mode::empty(), beneath);
    opened.map_err(|errno| explained(key, errno))
}

fn stat_of(file: impl AsFd, key: &ObjectKey) -> Result<Stat, MountError> {
    let stat = fstat(file).map_err(|errno| explained(key, errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        _ => Err(MountError::NotRegular { key: key.to_string() }),
    }
}

/// What an errno of one file means: of its lookup, its opening, its reading. Only what can speak of the mount alone is
/// called dead: whoever may write to the bucket chooses names and types, and must not stop everybody's images with one
/// of them. What may be either is refused; whether it is the mount, its next check tells.
fn explained(key: &ObjectKey, errno: Errno) -> MountError {
    let shown = key.to_string();
    match errno {
        Errno::LOOP | Errno::XDEV => MountError::Escape { key: shown },
        // Also what s3fs says while reading an object that has just been deleted. A name that is too long for a file
        // system is on none.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => MountError::Absent { key: shown },
        // Sockets, and device nodes without a driver.
        Errno::NXIO | Errno::NODEV => MountError::NotRegular { key: shown },
        // s3fs 1.90 passes on how S3 answers a GET: 403 as EPERM; 400, 416 and a body that breaks off as EIO. (A HEAD that
        // is refused has no errno: the file shows with size 0 and mode 0.)
        Errno::PERM | Errno::ACCESS | Errno::IO => MountError::Refused { key: shown, source: errno.into() },
        _ => dead(shown, errno),
    }
}

/// Whether the other files may be sound all the same.
pub fn is_of_one_file(error: &MountError) -> bool {
    match error {
        MountError::Refused { .. }
        | MountError::Absent { .. }
        | MountError::Escape { .. }
        | MountError::NotRegular { .. } => true,
        MountError::NotMounted { .. }
        | MountError::WrongType { .. }
        | MountError::Hung { .. }
        | MountError::Dead { .. } => false,
    }
}

/// The mount itself failed, or nobody knows better.
pub fn dead(what: String, errno: Errno) -> MountError {
    MountError::Dead { what, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::ports::PortError;

    #[test]
    fn r2_what_fuse_says_of_a_dead_mount_is_no_absence() {
        for errno in [Errno::NOTCONN, Errno::STALE, Errno::TIMEDOUT, Errno::NOSYS, Errno::NOMEM] {
            assert_eq!(explained(&ObjectKey::new("PE/a"), errno).kind(), "dead");
        }
    }

    #[test]
    fn what_may_concern_one_object_alone_is_not_the_mounts_failure() {
        for (errno, kind) in [
            (Errno::PERM, "refused"),
            (Errno::ACCESS, "refused"),
            (Errno::IO, "refused"),
            (Errno::NOENT, "absent"),
        ] {
            let error = explained(&ObjectKey::new("PE/a"), errno);
            assert_eq!(error.kind(), kind);
            assert!(is_of_one_file(&error), "{error:?}");
        }
    }
}
