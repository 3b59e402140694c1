//! This module decides which allocations are sampled.
//!
//! Path: *allocation path*.

pub(crate) mod interval;
pub(crate) mod labels;
pub(crate) mod sampler;
pub(crate) mod stack_room;
