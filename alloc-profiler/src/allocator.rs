//! The allocator itself forwards every call faithfully, observes around it, and does nothing else on the fast path.
//!
//! An unsampled allocation costs a thread-local subtraction and a branch, and an unsampled free costs one load and a
//! branch. Both end in a jump to the inner allocator. We record a block after it is allocated, before anyone else knows
//! its address, and remove the record before the block is freed: once it is freed, another thread may get the same
//! address, and we would erase that thread's record.
//!
//! Path: *allocation path*.

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::type_name;

use crate::process::malloc_stats;
use crate::recorder;
use crate::sampling::due::Due;
use crate::sampling::labels::Origin;
use crate::sampling::stack_room;
use crate::sampling::{sampler, thread};
use crate::tables::filter;

/// A global allocator that samples what passes through it to the allocator within.
///
/// Blocks are the inner allocator's own, unchanged in layout, size and address. All `SamplingAllocator`s of a process share
/// one state: a second one counts into the same profile. If one is around another, each block is counted once. If one
/// hands out parts of another's blocks, as a pool over the global allocator does, these bytes are counted a second time, and
/// a part that begins where its block begins takes over the block's record: see
/// [`Dropped::replaced_records`](crate::Dropped::replaced_records).
///
/// ```
/// use alloc_profiler::SamplingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();
///
/// fn main() {
///     alloc_profiler::set_sampling_interval(1); // every allocation, from here on
///     let kept = vec![1u8; 1000];
///     let profile = alloc_profiler::snapshot();
///     assert!(profile.totals().inuse_bytes >= 1000.0);
///     drop(kept);
/// }
/// ```
///
/// To sample over another allocator, write `SamplingAllocator<MiMalloc> = SamplingAllocator::with_allocator(MiMalloc)`.
///
/// # Cost
///
/// An allocation and its free cost a few instructions. At the default interval, one allocation in 512 KiB also takes its
/// stack, which costs some microseconds.
#[derive(Debug, Default)]
pub struct SamplingAllocator<A = System> {
    inner: A,
}

impl SamplingAllocator<System> {
    /// Makes one that samples over the system's allocator.
    #[must_use]
    pub const fn new() -> Self {
        SamplingAllocator { inner: System }
    }
}

impl<A> SamplingAllocator<A> {
    /// Makes one that samples over `inner`.
    #[must_use]
    pub const fn with_allocator(inner: A) -> Self {
        SamplingAllocator { inner }
    }

    /// Returns the inner allocator.
    #[must_use]
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

// SAFETY: every method hands its own arguments to the inner allocator's method of the same name, exactly once,
// and returns what that returned; the caller owes us what `GlobalAlloc` owes the inner one. Around the call we
// touch only our own memory, and nothing we do unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SamplingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if thread::count_down(layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { slow::alloc(&self.inner, layout) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if thread::count_down(layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { slow::alloc_zeroed(&self.inner, layout) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if filter::may_contain(ptr.addr()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { slow::dealloc(&self.inner, ptr, layout) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if thread::count_down(new_size) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { slow::realloc(&self.inner, ptr, layout, new_size, true) };
        }
        if filter::may_contain(ptr.addr()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { slow::realloc(&self.inner, ptr, layout, new_size, false) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.realloc(ptr, layout, new_size) }
    }
}

/// The functions that the branches of the fast path lead to.
mod slow {
    use super::*;

    /// # Safety
    ///
    /// The caller owes what it owes [`GlobalAlloc::alloc`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn alloc<A: GlobalAlloc>(inner: &A, layout: Layout) -> *mut u8 {
        malloc_stats::note_inner::<A>();
        let due = decide::<A>(layout.size());
        // SAFETY: the caller's promise, passed on.
        observed(unsafe { inner.alloc(layout) }, layout.size(), due)
    }

    /// # Safety
    ///
    /// The caller owes what it owes [`GlobalAlloc::alloc_zeroed`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn alloc_zeroed<A: GlobalAlloc>(inner: &A, layout: Layout) -> *mut u8 {
        let due = decide::<A>(layout.size());
        // mutant: A12 zeroed memory is not
        // SAFETY: the caller's promise, passed on.
        observed(unsafe { inner.alloc_zeroed(layout) }, layout.size(), due)
    }

    /// # Safety
    ///
    /// The caller owes what it owes [`GlobalAlloc::dealloc`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn dealloc<A: GlobalAlloc>(inner: &A, ptr: *mut u8, layout: Layout) {
        // mutant: B1 forgotten after the free (1)
        recorder::forget(ptr.addr());
        // mutant: B1 forgotten after the free (2)
        // SAFETY: the caller's promise, passed on.
        unsafe { inner.dealloc(ptr, layout) }
    }

    /// Treats a `realloc` as a free and a fresh draw. One that fails changes nothing.
    ///
    /// # Safety
    ///
    /// The caller owes what it owes [`GlobalAlloc::realloc`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn realloc<A: GlobalAlloc>(
        inner: &A,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
        is_due: bool,
    ) -> *mut u8 {
        let due = if is_due { decide::<A>(new_size) } else { None };
        let forgotten = if filter::may_contain(ptr.addr()) { recorder::take(ptr.addr()) } else { None };
        // SAFETY: the caller's promise, passed on.
        let new_ptr = unsafe { inner.realloc(ptr, layout, new_size) };
        if new_ptr.is_null() {
            if let Some(taken) = forgotten {
                // mutant: A12 a failed realloc forgets
                recorder::remember(&taken);
            }
            return new_ptr;
        }
        observed(new_ptr, new_size, due)
    }

    /// Decides as [`sampler::decide`] does, unless the inner allocator is a `SamplingAllocator` that decides by itself.
    fn decide<A>(size: usize) -> Option<Due> {
        // mutant: D15 allocators around one another count twice
        match sampling_levels::<A>() {
            0 => sampler::decide(size),
            within => {
                sampler::leave_to_inner(size, within.saturating_add(1));
                None
            }
        }
    }

    /// Records the block at `ptr` if it is due and the allocation did not fail.
    fn observed(ptr: *mut u8, size: usize, due: Option<Due>) -> *mut u8 {
        if let Some(due) = due
            && !ptr.is_null()
        {
            recorder::observe(ptr.addr(), size, due, stack_room::has_room(), Origin::Rust);
        }
        ptr
    }
}

/// Returns how many `SamplingAllocator`s there are from `A` inwards, each around the next: usually none.
fn sampling_levels<A>() -> u64 {
    // This is `alloc_profiler::allocator::SamplingAllocator` without its parameter, which the name leaves out where it is the
    // default, `System`. Names are compared as bytes, because the functions of `str` have panics in them.
    let own = type_name::<SamplingAllocator<()>>().as_bytes().strip_suffix(b"<()>").unwrap_or(b"\0");
    let mut levels: u64 = 0;
    let mut name = type_name::<A>().as_bytes();
    while let Some(rest) = name.strip_prefix(own) {
        name = match rest {
            [b'<', within @ ..] => within,
            [] | [b'>', ..] => &[],
            // This is another type, whose name begins alike.
            _ => return levels,
        };
        levels = levels.saturating_add(1);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_around_one_another_are_counted() {
        struct Other;
        assert_eq!(sampling_levels::<System>(), 0);
        assert_eq!(sampling_levels::<Other>(), 0);
        assert_eq!(sampling_levels::<SamplingAllocator<Other>>(), 1);
        assert_eq!(sampling_levels::<SamplingAllocator<System>>(), 1);
        assert_eq!(sampling_levels::<SamplingAllocator<SamplingAllocator<System>>>(), 2);
    }
}
