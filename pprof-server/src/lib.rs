//! Heap profiles of a Rust program, encoded and served as Go does.
#![forbid(unsafe_code)]

pub mod encode;
#[cfg(feature = "http")]
mod http;
mod symbols;

pub use encode::{
    Frame, Frames, ProfileKind, ProfileOptions, Symbolize, TopRow, TopTable, heap_profile, heap_text,
    top_table, write_heap_profile,
};
#[cfg(feature = "http")]
pub use http::{Server, serve};
