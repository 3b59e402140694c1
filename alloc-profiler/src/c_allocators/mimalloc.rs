//! The functions that the crate `mimalloc` links.

use std::ffi::c_void;

use super::CAllocator;

/// `define_malloc!(mimalloc)` hands on to this: it is mimalloc, as the crates `mimalloc` and `libmimalloc-sys` link it, without
/// their feature `override`. One of them must be linked: `use mimalloc as _;`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MiMalloc;

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut c_void;
    fn mi_calloc(count: usize, size: usize) -> *mut c_void;
    fn mi_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn mi_free(block: *mut c_void);
    fn mi_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn mi_malloc_usable_size(block: *const c_void) -> usize;
}

// Each function is inlined: only a program that uses it, and so links the allocator, has a reference to it.
// SAFETY: these are mimalloc's functions for C, which get their memory from the system by `mmap`.
unsafe impl CAllocator for MiMalloc {
    #[inline]
    unsafe fn malloc(size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_malloc(size) }
    }

    #[inline]
    unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_calloc(count, size) }
    }

    #[inline]
    unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_realloc(block, size) }
    }

    #[inline]
    unsafe fn free(block: *mut c_void) {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_free(block) }
    }

    #[inline]
    unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_memalign(alignment, size) }
    }
}

impl MiMalloc {
    /// Returns how many bytes of the block may be used: at least what was asked for.
    ///
    /// # Safety
    ///
    /// `block` is null, or this allocator's and not freed yet.
    #[inline]
    pub unsafe fn usable_size(block: *mut c_void) -> usize {
        // SAFETY: the caller's promise, passed on.
        unsafe { mi_malloc_usable_size(block) }
    }
}
