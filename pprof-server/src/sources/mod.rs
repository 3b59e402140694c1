//! Where profiles come from.
//!
//! Path: *read path*.

pub(crate) mod heap;
#[cfg(feature = "http")]
pub(crate) mod suspects;
