//! What the tests share: an allocator that counts exactly, to hold estimates against, and judges of profiles.
//!
//! [`check_valid`] asks Go itself, [`scraper_rules`] holds a profile against what the strictest of its readers
//! demand, [`go_tool_pprof`] shows what a person would see.

mod go;
pub mod oracle;
mod rules;

pub use go::{check_valid, go_tool_pprof};
pub use rules::{decode, scraper_rules, violations};
