//! Everything of the inside that reads what others wrote, each with what must hold whatever that was. Fed by the tests
//! beside this file and by the crate in `fuzz/`, which includes it.

use actors::decide::images::read_records;
use actors::decide::{history::History, manifest, squashfs};
use actors::model::{Boot, FileFacts, ObjectKey, S3Path, Word};
use serde_json::Value;
use std::time::Duration;

pub fn ims_list(bytes: &[u8]) {
    if let Ok(Value::Array(records)) = serde_json::from_slice(bytes) {
        let list = read_records(&records);
        assert!(list.records.len() + list.without_id <= records.len());
    }
}

pub fn manifest(bytes: &[u8]) {
    if let Ok(rootfs) = manifest::read(bytes, "boot-images") {
        assert!(!rootfs.key.as_str().is_empty());
    }
}

pub fn squashfs_superblock(head: &[u8]) {
    for listed in [0, 512, 4096, u64::MAX] {
        let facts = FileFacts { size: 4096, head: head.to_vec(), mode: 0o644 };
        if squashfs::check(&facts, listed).is_ok() {
            assert!(listed == 4096 && head.starts_with(b"hsqs"));
        }
    }
}

pub fn s3_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let key = ObjectKey::new(text.as_ref());
    if key.is_plain() {
        assert!(!text.starts_with('/') && text.split('/').all(|part| !["", ".", ".."].contains(&part)));
    }
    if let Ok(word) = Word::try_from(text.as_ref()) {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:+@~-".contains(&byte);
        assert!(word.as_str().bytes().all(harmless) && word.as_str().len() <= 255);
        assert!(!word.as_str().contains("END@OF@DATA"), "it would end the session with targetclid");
    }
    let _ = S3Path::parse(&text);
}

pub fn history(bytes: &[u8]) {
    let boot = Boot { id: "1".into(), since: Duration::from_secs(100) };
    drop(History::from_bytes(bytes, &boot, Duration::from_secs(3600)));
}
