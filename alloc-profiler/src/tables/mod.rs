//! These tables hold what is known of the samples: the stacks that allocate, the blocks that have not been freed, and
//! what was lost.
//!
//! Path: *allocation path*, sampled allocations only, but for the filter, which every free asks.

pub(crate) mod allocated;
pub(crate) mod drops;
pub(crate) mod filter;
pub(crate) mod live;
pub(crate) mod measured;
pub(crate) mod stacks;
