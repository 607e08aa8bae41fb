//! What is asked of the mount, blocking. The keys are untrusted: a symlink in the bucket may point to /etc/shadow, and
//! the predecessor has exported it (FACTS 4.3). So the kernel resolves them, beneath the mount and nowhere else.

use super::mountinfo;
use actors::model::ObjectKey;
use actors::ports::{FileFacts, MountError, MountFacts};
use actors::squashfs::SUPERBLOCK_BYTES;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The mount that is expected, and where the kernel says what is mounted.
#[derive(Debug)]
pub struct MountPoint {
    /// Where the bucket is mounted.
    pub path: PathBuf,
    /// The type that it must have.
    pub fstype: String,
    /// /proc/self/mountinfo, except in tests.
    pub mountinfo: PathBuf,
}

impl MountPoint {
    /// The mount is there and its daemon answers: statfs is never answered from the kernel's cache.
    pub fn check(&self) -> Result<MountFacts, MountError> {
        let root = self.open()?;
        let failed = |errno| dead(self.shown(), errno);
        fstatfs(&root).map_err(failed)?;
        Ok(MountFacts { device: fstat(&root).map_err(failed)?.st_dev, since: None })
    }

    /// Size of the regular file that the key is.
    pub fn examine(&self, key: &ObjectKey) -> Result<u64, MountError> {
        self.inspect(key).map(|facts| facts.size)
    }

    /// Size and head of the regular file that the key is.
    pub fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        if !is_plain(key.as_str()) {
            return Err(MountError::Escape { key: key.to_string() });
        }
        let failed = |errno| explained(key, errno);
        // O_NONBLOCK: opening a FIFO must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let beneath = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        // A kernel or sandbox without openat2 is an error: any other way to open would be a way out.
        let file = openat2(self.open()?, key.as_str(), flags, Mode::empty(), beneath).map_err(failed)?;
        let stat = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(MountError::NotRegular { key: key.to_string() });
        }
        let mut head = Vec::with_capacity(SUPERBLOCK_BYTES);
        File::from(file)
            .take(SUPERBLOCK_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|source| MountError::Dead { what: key.to_string(), source })?;
        Ok(FileFacts { size: stat.st_size.unsigned_abs(), head, mode: stat.st_mode & 0o7777 })
    }

    /// The root of the right mount, proven: the folder that has been opened lies on the device that mountinfo names.
    /// So neither the bare folder below a lost mount passes for it, nor one that covers it.
    fn open(&self) -> Result<OwnedFd, MountError> {
        let mounts = std::fs::read(&self.mountinfo)
            .map_err(|source| MountError::Dead { what: self.mountinfo.display().to_string(), source })?;
        let not_mounted = || MountError::NotMounted { path: self.shown() };
        let mount = mountinfo::find(&mounts, &self.path).ok_or_else(not_mounted)?;
        if mount.fstype != self.fstype {
            let (path, wanted) = (self.shown(), self.fstype.clone());
            return Err(MountError::WrongType { path, found: mount.fstype, wanted });
        }
        let failed = |errno| dead(self.shown(), errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(failed)?;
        match fstat(&root).map_err(failed)?.st_dev == mount.device {
            true => Ok(root),
            false => Err(not_mounted()),
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// Whether every segment of the key is a name. What is not is refused before the kernel sees it.
fn is_plain(key: &str) -> bool {
    !key.contains('\0') && key.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// What an errno of one file means. Only what speaks of the mount as a whole may be called dead: whoever may write to
/// the bucket chooses names and types, and must not stop everybody's images with one of them.
fn explained(key: &ObjectKey, errno: Errno) -> MountError {
    let shown = key.to_string();
    match errno {
        Errno::LOOP | Errno::XDEV => MountError::Escape { key: shown },
        // A name that is too long for a file system is on none.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => MountError::Absent { key: shown },
        // Sockets, and device nodes without a driver or on a nodev mount.
        Errno::NXIO | Errno::NODEV | Errno::ACCESS => MountError::NotRegular { key: shown },
        _ => dead(shown, errno),
    }
}

fn dead(what: String, errno: Errno) -> MountError {
    MountError::Dead { what, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, major, minor, mknodat};
    use std::os::unix::fs::symlink;

    /// A folder that a made-up mountinfo calls an s3fs mount.
    struct Site {
        dir: tempfile::TempDir,
        point: MountPoint,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (path, mountinfo) = (dir.path().join("boot images"), dir.path().join("mountinfo"));
            std::fs::create_dir(&path).unwrap();
            let point = MountPoint { path, fstype: "fuse.s3fs".to_owned(), mountinfo };
            let site = Site { dir, point };
            site.mounted(&["fuse.s3fs"]);
            site
        }

        /// One line for each type, from the bottom to the top.
        fn mounted(&self, fstypes: &[&str]) {
            let device = fstat(File::open(&self.point.path).unwrap()).unwrap().st_dev;
            let path = self.point.path.to_str().unwrap().replace(' ', "\\040");
            let line = |t: &&str| format!("9 1 {}:{} / {path} rw - {t} x rw\n", major(device), minor(device));
            std::fs::write(&self.point.mountinfo, fstypes.iter().map(line).collect::<String>()).unwrap();
        }

        fn write(&self, key: &str, content: &[u8]) {
            let path = self.point.path.join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }

        fn kind(&self, key: &str) -> &'static str {
            self.point.inspect(&ObjectKey::new(key)).map_or_else(|error| error.kind(), |_| "a file")
        }
    }

    #[test]
    fn the_mount_is_there_if_the_kernel_says_so_and_it_answers() {
        assert!(Site::new().point.check().is_ok());
    }

    #[test]
    fn r2_a_bare_folder_is_no_mount_and_its_files_are_no_images() {
        let site = Site::new();
        site.write("PE/a", b"left behind");
        site.mounted(&[]);
        assert_eq!(site.point.check().unwrap_err().kind(), "not_mounted");
        assert_eq!(site.kind("PE/a"), "not_mounted");
    }

    #[test]
    fn the_mount_on_top_must_be_the_right_one() {
        let site = Site::new();
        site.mounted(&["fuse.s3fs", "tmpfs"]);
        let error = site.point.check().unwrap_err().to_string();
        assert!(error.ends_with("is a tmpfs mount, not fuse.s3fs"), "{error}");
        site.mounted(&["tmpfs", "fuse.s3fs"]);
        assert!(site.point.check().is_ok());
    }

    #[test]
    fn a_mount_that_another_one_covers_is_not_mounted() {
        let site = Site::new();
        let elsewhere = format!("9 1 0:0 / {} rw - fuse.s3fs x rw\n", site.point.path.display());
        std::fs::write(&site.point.mountinfo, elsewhere.replace("boot images", "boot\\040images")).unwrap();
        assert_eq!(site.point.check().unwrap_err().kind(), "not_mounted");
    }

    #[test]
    fn r7_size_and_head_are_those_of_the_file() {
        let site = Site::new();
        let content = [b"hsqs".as_slice(), &[7; 4092]].concat();
        site.write("PE/a.squashfs", &content);
        site.write("PE/short", b"hsqs");
        site.write("PE/empty", b"");
        let facts = |key| site.point.inspect(&ObjectKey::new(key)).unwrap();
        assert_eq!(
            facts("PE/a.squashfs"),
            FileFacts { size: 4096, head: content[..SUPERBLOCK_BYTES].to_vec(), mode: 0o644 }
        );
        assert_eq!(facts("PE/short"), FileFacts { size: 4, head: b"hsqs".to_vec(), mode: 0o644 });
        assert_eq!(facts("PE/empty"), FileFacts { size: 0, head: Vec::new(), mode: 0o644 });
        assert_eq!(site.kind("PE/none"), "absent");
        assert_eq!(site.kind("PE/short/below"), "absent");
        assert_eq!(site.kind(&"x".repeat(300)), "absent");
    }

    #[test]
    fn r8_no_symlink_is_followed() {
        let site = Site::new();
        let root = &site.point.path;
        site.write("id/rootfs", b"inside");
        symlink("/etc/shadow", root.join("link.squashfs")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("id", root.join("inner")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        for key in ["link.squashfs", "etc/shadow", "inner/rootfs", "magic/etc/shadow"] {
            assert_eq!(site.kind(key), "escape", "{key}");
        }
    }

    #[test]
    fn r8_only_plain_names_reach_the_kernel() {
        let site = Site::new();
        site.write("PE/a", b"inside");
        std::fs::write(site.dir.path().join("outside"), b"outside").unwrap();
        for key in ["../outside", "PE/../PE/a", "PE/./a", "/etc/shadow", "PE//a", "PE/", "", "..", "PE/a\0b"]
        {
            assert_eq!(site.kind(key), "escape", "{key:?}");
        }
        assert_eq!(site.kind("PE/a"), "a file");
        assert_eq!(site.kind("PE/..a..b"), "absent");
    }

    #[test]
    fn r8_only_regular_files_count_and_a_fifo_does_not_block() {
        let site = Site::new();
        site.write("PE/dir/file", b"");
        let fifo = site.point.path.join("PE/fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(site.point.path.join("PE/socket")).unwrap();
        for key in ["PE/dir", "PE/fifo", "PE/socket"] {
            assert_eq!(site.kind(key), "not_regular", "{key}");
        }
    }

    #[test]
    fn r8_another_mount_below_is_not_entered() {
        let mut site = Site::new();
        site.point.path = "/".into();
        site.mounted(&["fuse.s3fs"]);
        assert_eq!(site.kind("proc/self/stat"), "escape");
    }

    #[test]
    fn r2_what_fuse_says_of_a_dead_mount_is_no_absence() {
        for errno in [Errno::NOTCONN, Errno::IO, Errno::STALE, Errno::TIMEDOUT, Errno::NOSYS, Errno::PERM] {
            assert_eq!(explained(&ObjectKey::new("PE/a"), errno).kind(), "dead");
        }
    }
}
