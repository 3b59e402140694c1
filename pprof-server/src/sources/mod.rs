//! Where profiles come from.
//!
//! Path: *read path*.

pub(crate) mod heap;
mod losses;
#[cfg(feature = "http")]
pub(crate) mod suspects;
