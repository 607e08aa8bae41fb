//! What others wrote, changed at random, against everything that reads it: an error is fine, a panic is not. What only the
//! outside reads (keys of S3, saveconfig.json, configfs, answers of targetclid and of the helper) is fuzzed beside its code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use actors::decide::images::read_records;
use actors::decide::squashfs::{self, SUPERBLOCK_BYTES};
use actors::decide::{history::History, manifest};
use actors::model::{Boot, FileFacts, ObjectKey, S3Path, Word};
use serde_json::Value;
use std::time::Duration;
use support::fuzz::fuzz;

const IMS: [&[u8]; 3] = [
    include_bytes!("../../fixtures/ims-v2-images.json"),
    include_bytes!("../../fixtures/ims-v3-images.json"),
    include_bytes!("../../fixtures/ims-v3-deleted-images.json"),
];
const MANIFESTS: [&[u8]; 2] = [
    include_bytes!("../../fixtures/manifest-1.0.json"),
    include_bytes!("../../fixtures/manifest-deleted.json"),
];

#[test]
fn fuzz_a_list_of_ims_is_read_whatever_is_in_it() {
    fuzz(&IMS, |bytes| {
        if let Ok(Value::Array(records)) = serde_json::from_slice(bytes) {
            let list = read_records(&records);
            assert!(list.records.len() + list.without_id <= records.len());
        }
    });
}

#[test]
fn fuzz_a_manifest_is_read_whatever_is_in_it() {
    fuzz(&MANIFESTS, |bytes| {
        if let Ok(rootfs) = manifest::read(bytes, "boot-images") {
            assert!(!rootfs.key.as_str().is_empty());
        }
    });
}

#[test]
fn fuzz_a_superblock_is_judged_whatever_is_in_it() {
    let mut whole = [0_u8; SUPERBLOCK_BYTES];
    whole[..4].copy_from_slice(b"hsqs");
    whole[40..48].copy_from_slice(&4096_u64.to_le_bytes());
    fuzz(&[&whole], |head| {
        for listed in [0, 512, 4096, u64::MAX] {
            let facts = FileFacts { size: 4096, head: head.to_vec(), mode: 0o644 };
            if squashfs::check(&facts, listed).is_ok() {
                assert!(listed == 4096 && head.starts_with(b"hsqs"));
            }
        }
    });
}

#[test]
fn fuzz_r8_r9_a_key_becomes_a_path_and_a_word_only_if_it_is_harmless() {
    fuzz(
        &[b"PE/CPE-base.x86_64-26.11.squashfs", b"s3://boot-images/id/rootfs", b"../../etc/shadow"],
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let key = ObjectKey::new(text.as_ref());
            if key.is_plain() {
                assert!(
                    !text.starts_with('/') && text.split('/').all(|part| !["", ".", ".."].contains(&part))
                );
            }
            if let Ok(word) = Word::try_from(text.as_ref()) {
                let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:+@~-".contains(&byte);
                assert!(word.as_str().bytes().all(harmless) && word.as_str().len() <= 255);
            }
            let _ = S3Path::parse(&text);
        },
    );
}

#[test]
fn fuzz_a_history_is_read_or_refused_whatever_is_in_it() {
    let boot = Boot { id: "1".into(), since: Duration::from_secs(100) };
    let stored = History::default().to_bytes(&boot).unwrap();
    fuzz(&[&stored], |bytes| drop(History::from_bytes(bytes, &boot, Duration::from_secs(3600))));
}
