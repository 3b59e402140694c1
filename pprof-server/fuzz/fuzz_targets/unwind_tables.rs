//! Unwind tables that make no sense: nothing beyond them is read, and nothing panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| alloc_profiler::fuzz_unwind_tables(bytes));
