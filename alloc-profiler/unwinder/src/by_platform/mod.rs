//! The `backtrace` crate takes the stacks here, that is, the platform's own unwinder.
//!
//! On glibc from 2.35 it finds its tables without the loader's lock. It may allocate on its first use. On Windows it is
//! `RtlVirtualUnwind`, by which `RtlCaptureStackBackTrace` walks too. That one tells no stack pointers, so the frames between the owner
//! of the room and itself could only be counted. Windows' own heap takes stacks by it, within allocations, if it is told to.
//!
//! Path: *allocation path*, sampled allocations only.

#[cfg(not(by_tables))]
mod bounds;
#[cfg(not(by_tables))]
pub(super) use bounds::has_room;

use crate::CodeAddress;
use crate::errno::keeping_errno;
use crate::frames::Frames;

pub(super) fn fill(frames: &mut Frames<'_>) {
    // The stack grows downwards: what called the owner of the room stands above it.
    let own_address = frames.room_address();
    // SAFETY: "unsynchronized" is unsafe for the sake of Windows' dbghelp, by which `backtrace` walks in 32 bits alone, where the build
    // script leaves this out. Any number of threads may use the platform's unwinder at once.
    keeping_errno(|| unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip().addr();
            let is_beyond = frame.sp().addr() > own_address && address != 0;
            !is_beyond || frames.push(CodeAddress::returning_to(address))
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::room;

    /// Whether the first frame is in the function that called this one.
    #[inline(never)]
    fn begins_within(function: usize) -> bool {
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        fill(&mut frames);
        let first = frames.as_slice().last().copied();
        first.is_some_and(|first| (function..function + 4096).contains(&first.address()))
    }

    #[test]
    fn a_walk_begins_at_the_caller_of_the_function_that_owns_the_room() {
        #[inline(never)]
        fn caller() -> bool {
            std::hint::black_box(begins_within(caller as fn() -> bool as usize))
        }
        assert!(caller());
    }
}
