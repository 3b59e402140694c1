//! Targets without an unwinder that is safe inside an allocator: every stack is unknown, totals are right.
//!
//! Path: *allocation path*, sampled allocations only.

use super::Frames;

pub(super) fn unwind(frames: &mut Frames) {
    let _ = frames.push(0) && {
        frames.depth = 0;
        true
    };
}
