//! This target reads `/proc/self/maps` and the heads of ELF files, as the fuzzer thinks them up.
#![cfg_attr(feature = "libfuzzer", no_main)]

pprof_server_fuzz::target!("maps", pprof_server::internal::fuzz_maps);
