//! What others wrote, changed at random, against everything that reads it: an error is fine, a panic is not. What only the
//! outside reads (saveconfig.json, configfs, credentials, answers of targetclid and of the helper) is fuzzed beside its
//! code. `make fuzz` lets libFuzzer look for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parsers;

use support::fuzz::fuzz;

#[test]
fn fuzz_a_list_of_ims_is_read_whatever_is_in_it() {
    fuzz("ims_list", parsers::ims_list);
}

#[test]
fn fuzz_a_manifest_is_read_whatever_is_in_it() {
    fuzz("manifest", parsers::manifest);
}

#[test]
fn fuzz_a_superblock_is_judged_whatever_is_in_it() {
    fuzz("squashfs_superblock", parsers::squashfs_superblock);
}

#[test]
fn fuzz_r8_r9_a_key_becomes_a_path_and_a_word_only_if_it_is_harmless() {
    fuzz("s3_key", parsers::s3_key);
}

#[test]
fn fuzz_a_history_is_read_or_refused_whatever_is_in_it() {
    fuzz("history", parsers::history);
}

/// A target without seeds, or seeds without a target, would be fuzzed by nobody.
#[test]
fn each_folder_of_seeds_is_a_target_of_cargo_fuzz_and_each_target_has_one() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
    let names = |folder: &str| -> std::collections::BTreeSet<String> {
        let entries = std::fs::read_dir(format!("{root}/{folder}")).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap().replace(".rs", "")).collect()
    };
    let (seeds, targets) = (names("seeds"), names("fuzz_targets"));
    assert!(seeds == targets && targets.len() >= 10, "{seeds:?} {targets:?}");
}
