//! What readers take: a pprof profile, Go's text, a table, JSON, folded stacks.
//!
//! Path: *read path*.

#[cfg(feature = "http")]
mod bounded;
pub(crate) mod folded;
pub(crate) mod json;
pub(crate) mod legacy_text;
pub(crate) mod pprof;
pub(crate) mod table;
mod terminal;

#[cfg(feature = "http")]
pub(crate) use bounded::BoundedText;
#[cfg(feature = "http")]
pub(crate) use table::NamedStacks;
pub use table::{Frame, MAX_ROWS, TopRow, TopTable};
