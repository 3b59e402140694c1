//! C's functions, counted down and perhaps sampled: what [`define_malloc!`](crate::define_malloc) defines calls these.
//!
//! Each hands its arguments on to the function of the allocator below, once, and returns what that returned. An allocation that is
//! not sampled costs what one of Rust's costs, and two instructions more for a size that no `Layout` has: see `is_due`.
//!
//! A block of 0 bytes, which C has and Rust has not, takes no part: it has no bytes that could be sampled.
//!
//! Path: *allocation path*. Nothing here asks the C library where a thread's stack is: it takes a lock for that, and may call
//! `malloc` while it has it.

use std::ffi::{c_int, c_void};

use crate::c_allocators::CAllocator;
use crate::sampling::thread;
use crate::tables::filter;

/// Counts the block down, and returns whether it takes the slow path.
///
/// The countdown is signed, so a size beyond `isize::MAX` would raise it, and the thread would not be sampled for a long time. There
/// is no such block, but C code may ask for one.
#[inline(always)]
fn is_due(size: usize) -> bool {
    // mutant: E110 a size that nobody has stops the sampling
    thread::count_down(size) | (size > isize::MAX as usize)
}

/// # Safety
///
/// There is nothing that the caller must see to.
#[inline(always)]
pub unsafe fn malloc<A: CAllocator>(size: usize) -> *mut c_void {
    if is_due(size) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::malloc::<A>(size) };
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { A::malloc(size) }
}

/// # Safety
///
/// There is nothing that the caller must see to.
#[inline(always)]
pub unsafe fn calloc<A: CAllocator>(count: usize, size: usize) -> *mut c_void {
    // What is too large is not counted. The allocator below says so.
    if let Some(bytes) = count.checked_mul(size)
        && is_due(bytes)
    {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::calloc::<A>(count, size, bytes) };
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { A::calloc(count, size) }
}

/// # Safety
///
/// The caller owes what it owes [`CAllocator::realloc`].
#[inline(always)]
pub unsafe fn realloc<A: CAllocator>(block: *mut c_void, size: usize) -> *mut c_void {
    if is_due(size) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::realloc::<A>(block, size, true) };
    }
    if filter::may_contain(block.addr()) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::realloc::<A>(block, size, false) };
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { A::realloc(block, size) }
}

/// # Safety
///
/// The caller owes what it owes [`CAllocator::free`].
#[inline(always)]
pub unsafe fn free<A: CAllocator>(block: *mut c_void) {
    if filter::may_contain(block.addr()) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::free::<A>(block) };
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { A::free(block) }
}

/// # Safety
///
/// There is nothing that the caller must see to.
#[inline(always)]
pub unsafe fn memalign<A: CAllocator>(alignment: usize, size: usize) -> *mut c_void {
    if is_due(size) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { slow::memalign::<A>(alignment, size) };
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { A::memalign(alignment, size) }
}

/// # Safety
///
/// `result` can be written to.
#[inline]
pub unsafe fn posix_memalign<A: CAllocator>(
    result: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    if !alignment.is_power_of_two() || alignment < size_of::<usize>() {
        return libc::EINVAL;
    }
    // SAFETY: the caller's promise, passed on.
    let block = unsafe { memalign::<A>(alignment, size) };
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { result.write(block) };
    0
}

/// # Safety
///
/// There is nothing that the caller must see to.
#[inline]
pub unsafe fn valloc<A: CAllocator>(size: usize) -> *mut c_void {
    // SAFETY: the caller's promise, passed on.
    unsafe { memalign::<A>(page_bytes(), size) }
}

/// # Safety
///
/// There is nothing that the caller must see to.
#[inline]
pub unsafe fn pvalloc<A: CAllocator>(size: usize) -> *mut c_void {
    // What cannot be rounded up is refused for its size.
    let bytes = size.checked_next_multiple_of(page_bytes()).unwrap_or(usize::MAX);
    // SAFETY: the caller's promise, passed on.
    unsafe { memalign::<A>(page_bytes(), bytes) }
}

/// Returns what `valloc` and `pvalloc` align to.
fn page_bytes() -> usize {
    // SAFETY: it asks for a number that the kernel gave to the program.
    unsafe { libc::getauxval(libc::AT_PAGESZ) as usize }
}

/// The functions that the branches above lead to.
mod slow {
    use super::*;
    use crate::recorder;
    use crate::sampling::due::Due;
    use crate::sampling::labels::Origin;
    use crate::sampling::{sampler, stack_room};

    /// # Safety
    ///
    /// There is nothing that the caller must see to.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn malloc<A: CAllocator>(size: usize) -> *mut c_void {
        let due = sampler::decide(size);
        // SAFETY: the caller's promise, passed on.
        observed(unsafe { A::malloc(size) }, size, due)
    }

    /// # Safety
    ///
    /// `count` times `size` is `bytes`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn calloc<A: CAllocator>(count: usize, size: usize, bytes: usize) -> *mut c_void {
        let due = sampler::decide(bytes);
        // SAFETY: the caller's promise, passed on.
        observed(unsafe { A::calloc(count, size) }, bytes, due)
    }

    /// # Safety
    ///
    /// There is nothing that the caller must see to.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn memalign<A: CAllocator>(alignment: usize, size: usize) -> *mut c_void {
        let due = sampler::decide(size);
        // SAFETY: the caller's promise, passed on.
        observed(unsafe { A::memalign(alignment, size) }, size, due)
    }

    /// # Safety
    ///
    /// The caller owes what it owes [`CAllocator::free`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn free<A: CAllocator>(block: *mut c_void) {
        // Before the free, as for Rust's blocks: afterwards the address may be another thread's.
        // mutant: E110 frees by C are not noticed
        forget(block);
        // SAFETY: the caller's promise, passed on.
        unsafe { A::free(block) }
    }

    fn forget(block: *mut c_void) {
        if !block.is_null() {
            recorder::forget(block.addr());
        }
    }

    /// Treats a `realloc` as a free and a fresh draw. One that fails changes nothing.
    ///
    /// # Safety
    ///
    /// The caller owes what it owes [`CAllocator::realloc`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn realloc<A: CAllocator>(
        block: *mut c_void,
        size: usize,
        is_due: bool,
    ) -> *mut c_void {
        let due = if is_due { sampler::decide(size) } else { None };
        let is_sampled = !block.is_null() && filter::may_contain(block.addr());
        let forgotten = if is_sampled { recorder::take(block.addr()) } else { None };
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { A::realloc(block, size) };
        // Without a size, null says that the block was freed, and not that there was no memory.
        // mutant: E110 a realloc to nothing is taken for one that failed
        if moved.is_null() && size > 0 {
            if let Some(taken) = forgotten {
                recorder::remember(&taken);
            }
            return moved;
        }
        observed(moved, size, due)
    }

    /// Records the block if it is due and the allocation did not fail.
    fn observed(block: *mut c_void, size: usize, due: Option<Due>) -> *mut c_void {
        if let Some(due) = due
            && !block.is_null()
        {
            // mutant: E111 the C library is asked for the stack while it has its lock
            recorder::observe(block.addr(), size, due, stack_room::has_room_without_asking(), Origin::C);
        }
        block
    }
}
