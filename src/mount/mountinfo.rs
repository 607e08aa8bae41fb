//! /proc/self/mountinfo: what is mounted where. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// `st_dev` of its files.
    pub device: u64,
    /// `fuse.s3fs`.
    pub fstype: String,
}

/// What is mounted at exactly this path: the last line that names it, because that mount is on top of the others.
pub fn find(mountinfo: &[u8], path: &Path) -> Option<Entry> {
    let mut mounts = mountinfo.split(|byte| *byte == b'\n').filter_map(parsed);
    mounts.rfind(|(point, _)| point == path).map(|(_, entry)| entry)
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - fuse.s3fs s3fs rw`; the fields before the dash vary in number.
fn parsed(line: &[u8]) -> Option<(PathBuf, Entry)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((point, Entry { device, fstype: String::from_utf8_lossy(fstype).into_owned() }))
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
        21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 21 0:35 / /var/lib/boot-images rw,nosuid shared:9 master:2 - fuse.s3fs s3fs rw,user_id=0\n\
        41 21 0:36 / /mnt/with\\040space rw - fuse.s3fs s3fs rw\n\
        42 40 0:37 / /var/lib/boot-images rw - tmpfs none rw\n\
        half a line\n";

    fn fstype(path: &str) -> Option<String> {
        find(MOUNTS, Path::new(path)).map(|entry| entry.fstype)
    }

    #[test]
    fn the_mount_on_top_is_found_at_exactly_this_path() {
        assert_eq!(fstype("/var/lib/boot-images").as_deref(), Some("tmpfs"));
        assert_eq!(fstype("/var/lib"), None);
        assert_eq!(fstype("/var/lib/boot-images/PE"), None);
    }

    #[test]
    fn optional_fields_and_octal_escapes_are_understood() {
        let entry = find(MOUNTS, Path::new("/mnt/with space")).unwrap();
        assert_eq!(entry, Entry { device: rustix::fs::makedev(0, 36), fstype: "fuse.s3fs".to_owned() });
        assert_eq!(fstype("/").as_deref(), Some("ext4"));
        assert_eq!(unescaped(br"\134040\04"), br"\040\04");
    }
}
