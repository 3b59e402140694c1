//! This tells whether enough is left of the stack that we are on, where the system says without a lock and without an allocation where
//! that stack is.
//!
//! Path: *allocation path*, sampled allocations only.

/// The bytes of stack that a walk may need. The platform's unwinder has two or three times the registers of a frame on the stack, with
/// 1 to 2 KiB each, and calls functions that have some more.
#[cfg(any(target_vendor = "apple", windows))]
const NEEDED_BYTES: usize = 32 << 10;

/// Whether a walk has room. On a stack that is not the thread's own, such as a signal's or a coroutine's, nobody can tell, and there is none.
#[cfg(any(target_vendor = "apple", windows))]
pub(crate) fn has_room() -> bool {
    let here = 0_u8;
    let here = std::ptr::from_ref(&here).addr();
    let (low, high) = of_this_thread();
    (low..high).contains(&here) && here.saturating_sub(low) >= NEEDED_BYTES
}

/// Returns the lowest address of the calling thread's stack, and the one above it.
#[cfg(target_vendor = "apple")]
fn of_this_thread() -> (usize, usize) {
    // SAFETY: the calling thread is there. Both functions only read what it knows of itself.
    let (high, bytes) = unsafe {
        let this = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(this).addr(), libc::pthread_get_stacksize_np(this))
    };
    (high.saturating_sub(bytes), high)
}

/// Returns the lowest address of the stack that the calling thread is on, and the one above it.
#[cfg(windows)]
fn of_this_thread() -> (usize, usize) {
    // It is in kernel32, which every program has: https://learn.microsoft.com/windows/win32/api/processthreadsapi
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetCurrentThreadStackLimits(low: *mut usize, high: *mut usize);
    }
    let (mut low, mut high) = (0, 0);
    // SAFETY: it writes two words, which are there, and cannot fail.
    unsafe { GetCurrentThreadStackLimits(&raw mut low, &raw mut high) };
    (low, high)
}

/// Takes for granted that there is room. To find out, the C library would have to be asked on these systems, and it may allocate.
#[cfg(not(any(target_vendor = "apple", windows)))]
pub(crate) fn has_room() -> bool {
    true
}

#[cfg(all(test, any(target_vendor = "apple", windows)))]
mod tests {
    use super::*;

    /// Calls itself with an array on the stack until there is no room, and returns how many bytes are left then.
    fn bytes_left_when_full() -> usize {
        let array = std::hint::black_box([0_u8; 1024]);
        if has_room() { bytes_left_when_full() } else { array.as_ptr().addr() - of_this_thread().0 }
    }

    #[test]
    fn there_is_room_until_the_stack_is_nearly_used_up() {
        assert!(has_room());
        let left = std::thread::Builder::new().stack_size(256 << 10).spawn(bytes_left_when_full).unwrap();
        let left = left.join().unwrap();
        assert!((NEEDED_BYTES / 2..NEEDED_BYTES).contains(&left), "{left}");
    }
}
