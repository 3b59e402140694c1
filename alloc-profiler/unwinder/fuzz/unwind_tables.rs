//! Unwind tables that make no sense: nothing beyond them is read, and nothing panics.
#![cfg_attr(feature = "libfuzzer", no_main)]

pprof_server_fuzz::target!("unwind_tables", unwinder::fuzz_tables);
