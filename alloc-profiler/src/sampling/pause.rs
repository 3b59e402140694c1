//! A part of a program that is neither sampled nor counted.
//!
//! Path: *allocation path*, in threads that read profiles.

use super::thread::{IS_MEASURED, THREAD};

/// While it exists, this thread's allocations are neither sampled nor counted. Frees are noticed as ever.
///
/// It is not `Send` and never handed out, because after an `await` another thread may go on with it. Where pauses are
/// nested, in a handler too, the last to begin is the first to end, so each can put back what it found.
pub(crate) struct Pause {
    /// The countdown to go on with, which is that of a paused thread if this pause is not the first.
    found: i64,
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Pause {
    pub(crate) fn begin() -> Pause {
        THREAD.with(|thread| {
            // mutant: D15 a pause that a handler comes into has no end (1)
            let found = thread.stop();
            // mutant: D15 a pause that a handler comes into has no end (2)
            thread.pauses.set(thread.pauses.get().saturating_add(1));
            Pause { found, _of_this_thread: std::marker::PhantomData }
        })
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.pauses.set(thread.pauses.get().saturating_sub(1));
            // mutant: B3 the first block after a pause is sampled
            thread.go_on(self.found);
        });
    }
}

/// Whether a [`Pause`] is open in the calling thread.
pub(crate) fn is_open() -> bool {
    THREAD.try_with(|thread| thread.pauses.get() & !IS_MEASURED > 0).unwrap_or(false)
}

/// Returns how many bytes this thread counts down while `work` runs, of which it samples nothing.
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
pub(crate) fn bytes_counted(work: impl FnOnce()) -> i64 {
    let _pause = Pause::begin();
    let countdown = || THREAD.with(|thread| thread.bytes_until_sample.get());
    let before = countdown();
    work();
    before.wrapping_sub(countdown())
}
