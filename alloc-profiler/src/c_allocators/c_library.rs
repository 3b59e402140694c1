//! The C library's own allocator, under names that nobody redefines.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use super::CAllocator;

/// The C library's own allocator, past the program's `malloc`, so that Rust's allocations are counted once: the inner
/// allocator of a program that uses [`define_malloc!`](crate::define_malloc).
///
/// It is what [`System`](std::alloc::System) is in a program without that. Where a program cannot have C's functions (see
/// there), it is `System` itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct CLibrary;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
}

// SAFETY: these are glibc's `malloc`, `calloc`, `realloc`, `free` and `memalign` under their other names, which glibc has had
// since its version 2.2.5.
unsafe impl CAllocator for CLibrary {
    #[inline]
    unsafe fn malloc(size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { __libc_malloc(size) }
    }

    #[inline]
    unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { __libc_calloc(count, size) }
    }

    #[inline]
    unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { __libc_realloc(block, size) }
    }

    #[inline]
    unsafe fn free(block: *mut c_void) {
        // SAFETY: the caller's promise, passed on.
        unsafe { __libc_free(block) }
    }

    #[inline]
    unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        unsafe { __libc_memalign(alignment, size) }
    }
}

/// Every block of glibc's is aligned so, if it is that large.
const MIN_ALIGN: usize = 16;

#[inline]
fn is_aligned_anyway(align: usize, size: usize) -> bool {
    align <= MIN_ALIGN && align <= size
}

// SAFETY: the blocks are those of glibc's allocator, of the size and alignment of the layout, as with `System`, which makes the
// same distinction. Nothing unwinds.
unsafe impl GlobalAlloc for CLibrary {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be asked for, and the alignment of a layout is a power of two.
        let block = unsafe {
            if is_aligned_anyway(layout.align(), layout.size()) {
                __libc_malloc(layout.size())
            } else {
                __libc_memalign(layout.align(), layout.size())
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.align(), layout.size()) {
            // SAFETY: any size may be asked for.
            return unsafe { __libc_calloc(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block has that size, and nobody else knows it yet.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller's promise is that the block is this allocator's, and not freed yet.
        unsafe { __libc_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if is_aligned_anyway(layout.align(), new_size) {
            // SAFETY: the caller's promise is that the block is this allocator's, and not freed yet.
            return unsafe { __libc_realloc(block.cast(), new_size) }.cast();
        }
        // SAFETY: the alignment of a layout is a power of two.
        let moved: *mut u8 = unsafe { __libc_memalign(layout.align(), new_size) }.cast();
        if !moved.is_null() {
            // SAFETY: both blocks have so many bytes, and they are two; the old one is given up by its owner.
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(new_size));
                __libc_free(block.cast());
            }
        }
        moved
    }
}
