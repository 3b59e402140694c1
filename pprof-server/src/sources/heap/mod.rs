//! The heap, by a snapshot of the profiler's or a difference of two.
//!
//! Path: *read path*.

mod notes;
mod sample_type;

pub(crate) use notes::{Loss, losses, merged_under_other, notes};
pub use sample_type::SampleType;
pub(crate) use sample_type::rounded;
