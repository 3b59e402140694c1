//! Whether samples are kept apart by what their threads worked for.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static ARE_KEPT: AtomicBool = AtomicBool::new(false);

/// Has samples be kept apart by labels from now on, or not any more.
pub(crate) fn keep(are_kept: bool) {
    ARE_KEPT.store(are_kept, Relaxed);
}

/// Whether labels are kept apart.
pub(crate) fn are_kept() -> bool {
    ARE_KEPT.load(Relaxed)
}

/// Returns the label of the calling thread, or 0 if labels are not kept apart.
#[inline(always)]
pub(crate) fn present() -> u32 {
    if are_kept() { unwinder::label::current() } else { 0 }
}
