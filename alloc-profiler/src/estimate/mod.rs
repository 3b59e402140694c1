//! This module knows what samples stand for: their sums, how far each sum may be off, and the size classes that sums
//! are kept by.
//!
//! Path: *allocation path* and *read path*. These are plain numbers.

pub(crate) mod size_class;
pub(crate) mod sums;
#[allow(clippy::arithmetic_side_effects, reason = "read path")]
pub(crate) mod totals;
pub(crate) mod variance;
