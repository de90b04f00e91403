//! See `bailiwick_testkit::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bailiwick_testkit::fuzzing::run("bundle", input));
