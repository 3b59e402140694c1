//! `/proc/self/maps` and the heads of ELF files, as the fuzzer thinks them up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pprof_server::fuzz_maps(bytes));
