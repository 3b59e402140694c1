//! The very files that are checked, and the counters that they raise.

#[path = "../../../../alloc-profiler/src/tables/allocated.rs"]
pub(crate) mod allocated;
pub(crate) mod drops;
#[path = "../../../../alloc-profiler/src/tables/filter.rs"]
pub(crate) mod filter;
#[path = "../../../../alloc-profiler/src/tables/live/mod.rs"]
pub(crate) mod live;
