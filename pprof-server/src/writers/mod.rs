//! These modules write what readers take: a pprof profile, Go's text, a table, JSON, and folded stacks. Each is written
//! from the model of a profile, and knows nothing of what was measured.
//!
//! Path: *read path*.

mod bounded;
#[cfg(feature = "http")]
pub(crate) mod firefox;
pub(crate) mod folded;
#[cfg(feature = "http")]
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod legacy_text;
pub(crate) mod pprof;
#[cfg(feature = "http")]
mod stack_dump;
mod stack_lines;
pub(crate) mod table;
mod terminal;
pub(crate) mod wrapped;

#[cfg(feature = "http")]
pub(crate) use bounded::BoundedText;
pub use table::MAX_ROWS;
pub(crate) use terminal::ROWS_SHOWN;
