#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sbps_marshal::fuzzing::targetclid_reply(bytes));
