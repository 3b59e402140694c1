//! Heap profiles of a Rust program, encoded and served as Go does.
#![forbid(unsafe_code)]

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod cgroup;
mod encode;
#[cfg(feature = "http")]
mod environment;
mod error;
#[cfg(feature = "http")]
mod history;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
#[doc(hidden)]
pub mod install;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod kept_file;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod kept_files;
mod mappings;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server tells of all of it"))]
mod per_process;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server tells of all of it"))]
mod process;
mod profile;
mod sources;
#[cfg(feature = "http")]
mod standard_error;
mod symbols;
mod writers;

pub use alloc_profiler;
pub use alloc_profiler::SamplingAllocator;
#[doc(hidden)]
pub use encode::phases;
pub use encode::{
    Ages, Frame, Frames, Labels, MAX_ROWS, ProfileKind, ProfileOptions, SampleType, SizeLimit, Symbolize,
    TopRow, TopTable, heap_folded, heap_profile, heap_text, top_json, top_table, write_heap_profile,
};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{Address, Body, Endpoint, Handler, Peer, Server, ServerBuilder, serve};
#[cfg(feature = "http")]
#[doc(hidden)]
pub use sources::suspects::phases as history_phases;
#[doc(hidden)]
pub use writers::pprof::proto;

/// What the fuzzer calls with bytes of its own.
#[cfg(all(feature = "http", fuzzing))]
#[doc(hidden)]
pub fn fuzz_router(bytes: &[u8]) {
    http::fuzz::route(bytes);
}

/// What the fuzzer calls with a maps file, or the head of an ELF file, of its own.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_maps(bytes: &[u8]) {
    mappings::fuzz(bytes);
    mappings::elf_image::fuzz(bytes);
}

// The Rust in README.md compiles.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../README.md")]
struct Readme;

// And the Rust in docs/security.md.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../docs/security.md")]
struct Security;
