//! Guard and router, with requests that the fuzzer thinks up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pprof_server::fuzz_router(bytes));
