//! The same small loops as C code makes them: by `malloc` and `free`, whoever defines these.

use std::ffi::c_void;
use std::hint::black_box;

use super::Outcome;
use crate::clock::nanos_per_operation;
use crate::request::Request;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

/// Allocates a block of 64 bytes and frees it at once.
pub(super) fn alloc_free(request: &Request) -> Outcome {
    repeated(request, || {
        // SAFETY: the block is freed once.
        unsafe { free(black_box(malloc(black_box(64)))) }
    })
}

/// Allocates 4 KiB of zeros and frees them at once.
pub(super) fn zeroed(request: &Request) -> Outcome {
    repeated(request, || {
        // SAFETY: the block is freed once.
        unsafe { free(black_box(calloc(black_box(64), black_box(64)))) }
    })
}

/// Resizes one block to 128 bytes and back to 64.
pub(super) fn regrow(request: &Request) -> Outcome {
    // SAFETY: any size may be asked for.
    let mut block = unsafe { malloc(64) };
    repeated(request, || {
        // SAFETY: the block was allocated here, and has not been freed.
        block = unsafe { realloc(black_box(realloc(black_box(block), black_box(128))), black_box(64)) };
    })
}

fn repeated(request: &Request, mut operation: impl FnMut()) -> Outcome {
    nanos_per_operation(request.length, 10_000, |operations| (0..operations).for_each(|_| operation())).into()
}
