//! This module decides which allocations are sampled.
//!
//! Path: *allocation path*.

pub(crate) mod due;
mod gap;
pub(crate) mod interval;
pub(crate) mod labels;
pub(crate) mod measured;
pub(crate) mod pause;
pub(crate) mod sampler;
pub(crate) mod stack_room;
pub(crate) mod thread;
