//! `errno` as it was: the program may look at it after it has allocated, for what it did before.
//!
//! Path: *allocation path*, around calls into the C library.

/// Runs `call` and undoes what it did to `errno`.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(crate) fn kept<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: takes nothing, and returns the address of this thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as long as the thread runs, `errno` is there, and only this thread uses it.
    let before = unsafe { errno.read() };
    let result = call();
    // SAFETY: as above.
    unsafe { errno.write(before) };
    result
}

/// Runs `call`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kept<R>(call: impl FnOnce() -> R) -> R {
    call()
}
