//! Unwind tables that make no sense: nothing beyond them is read, and nothing panics.
#![cfg_attr(feature = "libfuzzer", no_main)]

pprof_server_fuzz::target!("unwind_tables", alloc_profiler::fuzz_unwind_tables);
