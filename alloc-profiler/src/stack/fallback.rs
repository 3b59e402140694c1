//! Stacks by the `backtrace` crate, that is, by the platform's own unwinder.
//!
//! On glibc from 2.35 it finds its tables without the loader's lock. It may allocate on its first use.
//!
//! Path: *allocation path*, sampled allocations only.

use super::Frames;
use crate::c_library;

pub(super) fn unwind(frames: &mut Frames<'_>) {
    // The stack grows downwards: what called the owner of the room stands above it.
    let own_address = frames.room_address();
    // SAFETY: "unsynchronized" is unsafe for the sake of Windows' dbghelp, which is never compiled in here;
    // the platform's unwinder may be used by any number of threads at once.
    c_library::keeping_errno(|| unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let return_address = frame.ip().addr();
            frame.sp().addr() <= own_address || return_address == 0 || frames.push(return_address)
        });
    });
}
