//! Whether a file is a complete squashfs image (R7). Pure.

use crate::model::FileFacts;

/// Bytes of a squashfs 4.0 superblock: what is read of a file.
pub const SUPERBLOCK_BYTES: usize = 96;

/// `hsqs`, the first bytes of every little-endian squashfs.
const MAGIC: &[u8] = b"hsqs";
/// Where the superblock says how many bytes the image uses (u64, little-endian). mksquashfs writes it last.
const BYTES_USED_AT: usize = 40;
/// LIO serves whole sectors: it would silently cut the rest (facts 3.4).
const SECTOR_BYTES: u64 = 512;

/// Why a file may not be projected yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// Nothing in it: an upload that has just begun.
    #[error("it is empty")]
    Empty,
    /// The mount shows another size than S3: an upload or a cache on its way.
    #[error("S3 lists {listed} bytes, the mount shows {shown}")]
    SizeDiffers {
        /// Bytes, by S3.
        listed: u64,
        /// Bytes, by the mount.
        shown: u64,
    },
    /// Not a whole number of sectors.
    #[error("{0} bytes are not a multiple of 512")]
    OddSize(u64),
    /// Something else.
    #[error("it does not begin as a squashfs image does")]
    NotSquashfs,
    /// The superblock promises more than there is.
    #[error("its superblock uses {used} bytes, the file has {size}")]
    Truncated {
        /// Bytes, by the superblock.
        used: u64,
        /// Bytes, by the mount.
        size: u64,
    },
}

impl Incomplete {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            Incomplete::Empty => "file_empty",
            Incomplete::SizeDiffers { .. } => "size_differs",
            Incomplete::OddSize(_) => "odd_size",
            Incomplete::NotSquashfs => "not_squashfs",
            Incomplete::Truncated { .. } => "truncated",
        }
    }
}

/// Whether the file is complete, given the size (bytes) that S3 lists.
pub fn check(file: &FileFacts, listed: u64) -> Result<(), Incomplete> {
    if listed == 0 {
        return Err(Incomplete::Empty);
    }
    if file.size != listed {
        return Err(Incomplete::SizeDiffers { listed, shown: file.size });
    }
    if !listed.is_multiple_of(SECTOR_BYTES) {
        return Err(Incomplete::OddSize(listed));
    }
    let used = file.head.get(BYTES_USED_AT..BYTES_USED_AT + 8).and_then(|bytes| bytes.try_into().ok());
    match used.map(u64::from_le_bytes) {
        Some(_) if !file.head.starts_with(MAGIC) => Err(Incomplete::NotSquashfs),
        None => Err(Incomplete::NotSquashfs),
        Some(used) if used > file.size => Err(Incomplete::Truncated { used, size: file.size }),
        Some(_) => Ok(()),
    }
}

/// How an s3fs shows an object that S3 denies it.
pub fn is_denied(file: &FileFacts, listed: u64) -> bool {
    listed > 0 && file.size == 0 && file.mode & 0o777 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64, used: u64) -> FileFacts {
        let mut head = vec![0; SUPERBLOCK_BYTES];
        head[..4].copy_from_slice(MAGIC);
        head[BYTES_USED_AT..BYTES_USED_AT + 8].copy_from_slice(&used.to_le_bytes());
        FileFacts { size, head, mode: 0o640 }
    }

    #[test]
    fn r7_a_whole_image_is_complete() {
        assert_eq!(check(&image(8192, 8000), 8192), Ok(()));
    }

    #[test]
    fn r7_an_empty_file_is_pending() {
        assert_eq!(check(&FileFacts { size: 0, head: vec![], mode: 0o640 }, 0), Err(Incomplete::Empty));
    }

    #[test]
    fn r7_a_file_that_the_mount_shows_shorter_than_s3_is_pending() {
        let expected = Incomplete::SizeDiffers { listed: 8192, shown: 4096 };
        assert_eq!(check(&image(4096, 4000), 8192), Err(expected));
    }

    #[test]
    fn r7_a_size_that_is_no_multiple_of_512_is_pending() {
        assert_eq!(check(&image(1001, 900), 1001), Err(Incomplete::OddSize(1001)));
    }

    #[test]
    fn r7_a_file_that_is_no_squashfs_or_too_short_for_one_is_pending() {
        let text = FileFacts { size: 512, head: vec![b'x'; SUPERBLOCK_BYTES], mode: 0o640 };
        assert_eq!(check(&text, 512), Err(Incomplete::NotSquashfs));
        let short = FileFacts { size: 512, head: MAGIC.to_vec(), mode: 0o640 };
        assert_eq!(check(&short, 512), Err(Incomplete::NotSquashfs));
    }

    #[test]
    fn r7_an_image_whose_superblock_promises_more_than_the_file_holds_is_pending() {
        assert_eq!(check(&image(4096, 5000), 4096), Err(Incomplete::Truncated { used: 5000, size: 4096 }));
    }
}
