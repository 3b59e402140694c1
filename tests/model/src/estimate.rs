//! The sums that the live table keeps, the very files.

#[path = "../../../alloc-profiler/src/estimate/sums.rs"]
pub(crate) mod sums;
#[path = "../../../alloc-profiler/src/estimate/totals.rs"]
pub(crate) mod totals;
#[path = "../../../alloc-profiler/src/estimate/variance.rs"]
pub(crate) mod variance;
