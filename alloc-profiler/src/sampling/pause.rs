//! A part of a program that is neither sampled nor counted.
//!
//! Path: *allocation path*, in threads that read profiles.

use super::thread::THREAD;

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
