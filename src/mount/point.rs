//! What is asked of the mount, blocking.

use super::beneath::{self, dead, is_of_one_file};
use super::daemon::Daemons;
use super::mountinfo;
use actors::model::ObjectKey;
use actors::model::{FileFacts, MountFacts};
use actors::ports::{Examined, MountError};
use rustix::fs::{Mode, OFlags, fstat, fstatfs};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The mount that is expected, and where the kernel says what is mounted and what runs.
#[derive(Debug)]
pub struct MountPoint {
    /// Where the bucket is mounted; may be, or lead through, a symlink.
    pub path: PathBuf,
    /// The type that it must have.
    pub fstype: String,
    /// /proc/self/mountinfo, except in tests.
    pub mountinfo: PathBuf,
    /// Who serves it.
    pub daemons: Daemons,
}

/// The root of the right mount, and where it really is.
struct Root {
    folder: OwnedFd,
    device: u64,
    resolved: PathBuf,
}

impl MountPoint {
    /// The mount is there and its daemon answers: statfs is never answered from the kernel's cache.
    pub fn check(&self) -> Result<MountFacts, MountError> {
        let root = self.open()?;
        fstatfs(&root.folder).map_err(|errno| dead(self.shown(), errno))?;
        // `fuse.s3fs` is what the kernel calls a mount of the program s3fs.
        let since = self.fstype.strip_prefix("fuse.").and_then(|program| {
            self.daemons.since(root.device, program, &[self.path.as_path(), root.resolved.as_path()])
        });
        Ok(MountFacts { device: root.device, since })
    }

    /// Sizes of the regular files that the keys are, as far as it gets by then. It costs s3fs one request a file, and
    /// neither opens nor reads it: where the object has been replaced, s3fs 1.90 gives its new size at the next open to
    /// everybody who has the old one open, LIO too, and cuts off what is beyond.
    pub fn examine(&self, keys: Vec<ObjectKey>, until: Instant) -> Result<Examined, MountError> {
        let root = self.open()?;
        let mut examined = BTreeMap::new();
        for key in keys {
            if Instant::now() >= until {
                break;
            }
            let size = match beneath::stat(&root.folder, &key) {
                Ok(stat) => Ok(stat.st_size.unsigned_abs()),
                Err(error) if is_of_one_file(&error) => Err(error),
                Err(whole_mount) => return Err(whole_mount),
            };
            examined.insert(key, size);
        }
        Ok(examined)
    }

    /// Size, mode and head of the regular file that the key is.
    pub fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        beneath::read(&self.open()?.folder, key)
    }

    /// See [`super::Files::open`].
    pub fn open_file(&self, file: &Path) -> Result<(OwnedFd, u64), MountError> {
        let shown = file.display().to_string();
        let key = file.strip_prefix(&self.path).ok().and_then(Path::to_str).map(ObjectKey::new);
        beneath::open_regular(&self.open()?.folder, &key.ok_or(MountError::Escape { key: shown })?)
    }

    /// The root of the right mount, proven: the folder that has been opened lies on the device that mountinfo names.
    /// So neither the bare folder below a lost mount passes for it, nor one that covers it.
    fn open(&self) -> Result<Root, MountError> {
        let failed = |what: &Path, source| MountError::Dead { what: what.display().to_string(), source };
        let mounts = std::fs::read(&self.mountinfo).map_err(|source| failed(&self.mountinfo, source))?;
        let not_mounted = || MountError::NotMounted { path: self.shown() };
        // The kernel lists where a mount really is. Who is configured with a symlink to it, or through one, means that.
        let (resolved, mount) = match mountinfo::find(&mounts, &self.path) {
            Some(mount) => (self.path.clone(), mount),
            None => {
                let resolved = std::fs::canonicalize(&self.path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => not_mounted(),
                    _ => failed(&self.path, error),
                })?;
                let mount = mountinfo::find(&mounts, &resolved).ok_or_else(not_mounted)?;
                (resolved, mount)
            }
        };
        if mount.fstype != self.fstype {
            let (path, wanted) = (self.shown(), self.fstype.clone());
            return Err(MountError::WrongType { path, found: mount.fstype, wanted });
        }
        let failed = |errno| dead(self.shown(), errno);
        // To go on from: s3fs is not asked to open it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(failed)?;
        match fstat(&folder).map_err(failed)?.st_dev == mount.device {
            true => Ok(Root { folder, device: mount.device, resolved }),
            false => Err(not_mounted()),
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::decide::squashfs::SUPERBLOCK_BYTES;
    use actors::ports::PortError;
    use rustix::fs::{CWD, FileType, inotify, major, minor, mknodat};
    use rustix::io::Errno;
    use std::fs::File;
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
            let daemons = Daemons::below(dir.path().join("proc"));
            let point = MountPoint { path, fstype: "fuse.s3fs".to_owned(), mountinfo, daemons };
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

        /// What a look without opening finds, key by key.
        fn examined(&self, keys: &[&str]) -> Vec<Result<u64, &'static str>> {
            let asked = keys.iter().map(|key| ObjectKey::new(*key)).collect();
            let in_an_hour = Instant::now() + std::time::Duration::from_secs(3600);
            let found = self.point.examine(asked, in_an_hour).unwrap();
            let found =
                |key: &&str| found[&ObjectKey::new(*key)].as_ref().map(|size| *size).map_err(|e| e.kind());
            keys.iter().map(found).collect()
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
            assert_eq!(site.examined(&[key]), [Err("escape")], "{key}");
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
            assert_eq!(site.examined(&[key]), [Err("escape")], "{key:?}");
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
            assert_eq!(site.examined(&[key]), [Err("not_regular")], "{key}");
        }
    }

    #[test]
    fn r8_another_mount_below_is_not_entered() {
        let mut site = Site::new();
        site.point.path = "/".into();
        site.mounted(&["fuse.s3fs"]);
        assert_eq!(site.kind("proc/self/stat"), "escape");
        assert_eq!(site.examined(&["proc/self/stat"]), [Err("escape")]);
    }

    #[test]
    fn a_look_gives_every_size_and_tells_what_is_wrong_with_each_file_alone() {
        let site = Site::new();
        site.write("PE/a", &[7; 4096]);
        site.write("PE/empty", b"");
        symlink("a", site.point.path.join("PE/link")).unwrap();
        let keys = ["PE/a", "PE/none", "PE/link", "PE", "PE/../PE/a", "PE/empty"];
        let found = site.examined(&keys);
        assert_eq!(found, [Ok(4096), Err("absent"), Err("escape"), Err("not_regular"), Err("escape"), Ok(0)]);
    }

    #[test]
    fn a_look_neither_opens_nor_reads() {
        let site = Site::new();
        site.write("PE/a", &[7; 4096]);
        let path = site.point.path.join("PE/a");
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &path, inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS).unwrap();
        let told = || rustix::io::read(&watch, &mut [0; 1024]);
        assert_eq!(site.examined(&["PE/a"]), [Ok(4096)]);
        assert_eq!(told(), Err(Errno::AGAIN));
        assert_eq!(site.kind("PE/a"), "a file");
        assert!(told().is_ok(), "an inspection opens it");
    }

    #[test]
    fn r14_a_look_ends_when_its_time_is_over_and_gives_what_it_has() {
        let site = Site::new();
        site.write("PE/a", b"a");
        let keys = || vec![ObjectKey::new("PE/a"), ObjectKey::new("PE/b")];
        assert_eq!(site.point.examine(keys(), Instant::now()).unwrap().len(), 0);
    }

    #[test]
    fn r2_a_look_at_a_mount_that_is_gone_says_nothing_of_any_file() {
        let site = Site::new();
        site.write("PE/a", b"left behind");
        site.mounted(&[]);
        let error = site.point.examine(vec![ObjectKey::new("PE/a")], Instant::now()).unwrap_err();
        assert_eq!(error.kind(), "not_mounted");
    }

    #[test]
    fn a_mount_is_found_through_a_symlink_to_it() {
        let mut site = Site::new();
        site.write("PE/a", b"inside");
        let (real, link) = (site.dir.path().to_owned(), site.dir.path().join("link"));
        symlink(&real, &link).unwrap();
        site.point.path = link.join("boot images");
        assert!(site.point.check().is_ok());
        assert_eq!(site.kind("PE/a"), "a file");
        site.point.path = link.join("no such folder");
        assert_eq!(site.point.check().unwrap_err().kind(), "not_mounted");
        site.point.path = "/proc/self/exe".into();
        assert_eq!(site.point.check().unwrap_err().kind(), "not_mounted");
    }

    #[test]
    fn a_mount_tells_its_device_and_since_when_its_daemon_has_run() {
        let site = Site::new();
        let facts = site.point.check().unwrap();
        assert_eq!(facts.device, fstat(File::open(&site.point.path).unwrap()).unwrap().st_dev);
        assert_eq!(facts.since, None);
        let process = site.dir.path().join("proc/320");
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("comm"), "s3fs\n").unwrap();
        let mount = site.point.path.display();
        std::fs::write(process.join("cmdline"), format!("s3fs\0boot-images\0{mount}\0-o\0rw\0")).unwrap();
        std::fs::write(process.join("stat"), format!("320 (s3fs) S{} 512 0\n", " 0".repeat(18))).unwrap();
        assert_eq!(site.point.check().unwrap().since, Some(std::time::Duration::from_millis(5120)));
    }

    /// /proc is a mount with files that cannot be read: memory at address 0 gives EIO.
    #[test]
    fn a_file_that_opens_and_cannot_be_read_is_refused_and_the_others_are_read() {
        let mut site = Site::new();
        site.point.path = format!("/proc/{}", std::process::id()).into();
        site.mounted(&["fuse.s3fs"]);
        let error = site.point.inspect(&ObjectKey::new("mem")).unwrap_err();
        assert!(
            matches!(&error, MountError::Refused { source, .. } if source.raw_os_error() == Some(5)),
            "{error:?}"
        );
        assert_eq!(site.kind("comm"), "a file");
        assert_eq!(site.examined(&["mem", "comm"]), [Ok(0), Ok(0)]);
    }
}
