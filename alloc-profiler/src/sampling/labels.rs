//! Samples of one stack are kept apart by who asked for the block, and perhaps by what the thread worked for.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::tables::stacks::BY_C;

static ARE_KEPT: AtomicBool = AtomicBool::new(false);

/// Has samples be kept apart by labels from now on, or not any more.
pub(crate) fn keep(are_kept: bool) {
    ARE_KEPT.store(are_kept, Relaxed);
}

/// Whether labels are kept apart.
pub(crate) fn are_kept() -> bool {
    ARE_KEPT.load(Relaxed)
}

/// Who asked for a block, as a bit of a site's label.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Rust's global allocator was asked.
    Rust = 0,
    /// C's `malloc` or a function beside it was.
    C = BY_C,
}

/// Returns the label of a site that allocates now: that of the calling thread, or 0 if labels are not kept apart, with `origin`.
#[inline(always)]
pub(crate) fn present(origin: Origin) -> u32 {
    let label = if are_kept() { unwinder::label::current() } else { 0 };
    label | origin as u32
}

/// Returns the label of the thread in a site's label, and whether C asked.
pub(crate) fn parts(label: u32) -> (u32, bool) {
    (label & !BY_C, label & BY_C != 0)
}
