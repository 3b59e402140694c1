//! Tests read and set the `errno` of their thread here.

use std::ffi::c_int;

pub(crate) fn errno() -> c_int {
    // SAFETY: the location is this thread's own `errno`.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the location is this thread's own `errno`.
    unsafe { *libc::__errno_location() = value }
}
