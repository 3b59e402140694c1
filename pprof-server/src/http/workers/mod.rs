//! The threads that answers are made on, and how many requests may wait for them.
//!
//! Path: *read path*.

pub(super) mod executor;
pub(super) mod waiters;
pub(super) mod worker;
