//! What the first bytes of a squashfs image say of it. Pure.

/// Bytes of a squashfs 4.0 superblock.
pub const SUPERBLOCK_BYTES: usize = 96;
