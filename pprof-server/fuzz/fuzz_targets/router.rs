//! Guard and router, with requests that the fuzzer thinks up.
#![cfg_attr(feature = "libfuzzer", no_main)]

pprof_server_fuzz::target!("router", pprof_server::internal::fuzz_router);
