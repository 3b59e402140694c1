//! `errno` stays as it was, because a program may look at it after an allocation or a signal, for what it did before.
//!
//! Path: *allocation path* and *signal handlers*, around calls into the C library.

/// Runs `call` and undoes what it did to `errno`.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn keeping_errno<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: takes nothing, and returns the address of this thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: `errno` is there as long as the thread runs, and only this thread uses it.
    let before = unsafe { errno.read() };
    let result = call();
    // mutant: A10 errno is littered
    // SAFETY: the thread still runs, so its `errno` is still there, and nobody else uses it.
    unsafe { errno.write(before) };
    result
}

/// Runs `call`.
#[cfg(not(target_os = "linux"))]
#[inline(always)]
pub fn keeping_errno<R>(call: impl FnOnce() -> R) -> R {
    call()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_did_to_errno_is_undone() {
        // SAFETY: this thread's own `errno`.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; closing what is not open changes nothing but `errno`.
        let (before, result, after) = unsafe {
            errno.write(libc::ERANGE);
            let before = *errno;
            let result = keeping_errno(|| (libc::close(-1), *errno));
            (before, result, *errno)
        };
        assert_eq!((before, result, after), (libc::ERANGE, (-1, libc::EBADF), libc::ERANGE));
    }
}
