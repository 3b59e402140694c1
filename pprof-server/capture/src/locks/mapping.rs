//! Memory for tables, straight from the system: who waits for a lock may hold that of an allocator.

use std::io;
use std::ptr;

/// Maps zeroed memory for a `T`, of which the system backs what is used.
pub(super) fn map_zeroed<T>() -> io::Result<*mut T> {
    let (protection, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: it is a mapping of our own, at a place that the kernel chooses.
    let start = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), protection, kind, -1, 0) };
    if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(start.cast()) }
}

/// Gives the memory back.
///
/// # Safety
///
/// `map_zeroed` has mapped it, and nobody uses it any more.
pub(super) unsafe fn unmap<T>(mapped: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(mapped.cast(), size_of::<T>()) };
}
