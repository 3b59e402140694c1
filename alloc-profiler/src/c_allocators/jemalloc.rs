//! The functions that the crate `tikv-jemalloc-sys` links.

use std::ffi::c_void;

use super::CAllocator;

/// `define_malloc!(jemalloc)` hands on to this: it is jemalloc, as the crate `tikv-jemalloc-sys` links it, without its feature
/// `unprefixed_malloc_on_supported_platforms`. It must be linked: `use tikv_jemallocator as _;`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jemalloc;

unsafe extern "C" {
    fn _rjem_malloc(size: usize) -> *mut c_void;
    fn _rjem_calloc(count: usize, size: usize) -> *mut c_void;
    fn _rjem_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn _rjem_free(block: *mut c_void);
    fn _rjem_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn _rjem_malloc_usable_size(block: *const c_void) -> usize;
}

// Each function is inlined: only a program that uses it, and so links the allocator, has a reference to it.
// SAFETY: these are jemalloc's functions for C, which get their memory from the system by `mmap`.
unsafe impl CAllocator for Jemalloc {
    #[inline]
    unsafe fn malloc(size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_malloc(size) }
    }

    #[inline]
    unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_calloc(count, size) }
    }

    #[inline]
    unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_realloc(block, size) }
    }

    #[inline]
    unsafe fn free(block: *mut c_void) {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_free(block) }
    }

    #[inline]
    unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_memalign(alignment, size) }
    }
}

impl Jemalloc {
    /// Returns how many bytes of the block may be used: at least what was asked for.
    ///
    /// # Safety
    ///
    /// `block` is null, or this allocator's and not freed yet.
    #[inline]
    pub unsafe fn usable_size(block: *mut c_void) -> usize {
        // SAFETY: the caller's promise, passed on.
        unsafe { _rjem_malloc_usable_size(block) }
    }
}
