//! Allocators as C knows them: what C's functions lead to.
//!
//! Path: *allocation path*.

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
mod c_library;
mod jemalloc;
mod mimalloc;

use std::ffi::c_void;

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
pub use c_library::CLibrary;
pub use jemalloc::Jemalloc;
pub use mimalloc::MiMalloc;
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static"))))]
pub use std::alloc::System as CLibrary;

/// An allocator with C's functions, to which [`define_malloc!`](crate::define_malloc) hands on what C code asks for.
///
/// `posix_memalign`, `aligned_alloc`, `valloc` and `pvalloc` are made of these.
///
/// # Safety
///
/// - Each function does what the C function of its name does (`memalign` what glibc's does), and sets `errno` as that does.
/// - None of them calls a function of the process by the names `malloc`, `calloc`, `realloc`, `free`, `memalign`,
///   `aligned_alloc` or `posix_memalign`, which would call them again without end.
/// - None of them unwinds.
pub unsafe trait CAllocator {
    /// Allocates `size` bytes.
    ///
    /// # Safety
    ///
    /// There is nothing that the caller must see to.
    unsafe fn malloc(size: usize) -> *mut c_void;

    /// Allocates `count` times `size` bytes, all zero; the result is null if that is more than there can be.
    ///
    /// # Safety
    ///
    /// There is nothing that the caller must see to.
    unsafe fn calloc(count: usize, size: usize) -> *mut c_void;

    /// Makes the block at `block` one of `size` bytes, perhaps elsewhere. If `block` is null, it allocates. If it returns null for
    /// a `size` other than 0, the block is as it was.
    ///
    /// # Safety
    ///
    /// `block` is null, or this allocator's and not freed yet.
    unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void;

    /// Frees the block at `block`, unless that is null.
    ///
    /// # Safety
    ///
    /// `block` is null, or this allocator's and not freed yet.
    unsafe fn free(block: *mut c_void);

    /// Allocates `size` bytes at a multiple of `alignment`. One that is no power of two is rounded up to the next, or refused.
    ///
    /// # Safety
    ///
    /// There is nothing that the caller must see to.
    unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void;
}
