//! What the tests share: an allocator that counts exactly, against which estimates are held, a client that fetches
//! profiles, and judges of these.
//!
//! [`check_valid`] asks Go itself, [`scraper_rules`] holds a profile against what the strictest of its readers
//! demand, [`check_schema`] holds an answer in JSON against the schema, [`go_tool_pprof`] and [`go_tool_pprof_at`] show
//! what a person would see. [`this_program`] and [`program`] start programs, [`examples`] runs a package's examples, [`call_back`] builds libraries, and
//! [`with_headers_at_the_end`] changes a finished program or library as tools do.

mod again;
#[cfg(unix)]
pub mod busy;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod call_back;
pub mod client;
mod elf;
pub mod examples;
mod go;
pub mod oracle;
mod rules;
mod schema;

pub use again::{c_compiler, program, this_program};
pub use elf::with_headers_at_the_end;
pub use go::{check_valid, go_tool_pprof, go_tool_pprof_at, pprof};
pub use rules::{decode, scraper_rules, violations};
pub use schema::check_schema;

/// The Rust in README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The Rust in docs/security.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/security.md")]
struct Security;
