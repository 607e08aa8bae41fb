#![no_main]

#[path = "../../tests/fuzz/parsers.rs"]
#[allow(dead_code)]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::squashfs_superblock(bytes));
