//! This tells whether enough of a thread's stack is left to take it, and where that stack is.
//!
//! Path: *allocation path*, sampled allocations only.

use crate::sampling::pause::Pause;

/// Whether enough of the stack is left to take it, as far as can be told.
#[inline(never)]
pub(crate) fn has_room() -> bool {
    unwinder::has_room().unwrap_or_else(|| {
        prepare_thread();
        unwinder::has_room().unwrap_or(false)
    })
}

/// As [`has_room`], for callers that may be inside the C library: it is not asked where the stack is.
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#[inline(never)]
pub(crate) fn has_room_without_asking() -> bool {
    unwinder::has_room_without_asking()
}

/// Has the calling thread's stack found, which every stack that is taken in the thread needs.
#[cold]
#[inline(never)]
pub(crate) fn prepare_thread() {
    // What the C library allocates for this is not the program's.
    let _pause = Pause::begin();
    unwinder::prepare_thread();
}
