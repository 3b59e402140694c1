//! Functions that are called at each `fork`.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// What is called in the thread that forks.
pub(crate) struct ForkHandlers {
    pub(crate) before: Option<extern "C" fn()>,
    pub(crate) in_parent: Option<extern "C" fn()>,
    pub(crate) in_child: Option<extern "C" fn()>,
    pub(crate) is_registered: AtomicBool,
}

impl ForkHandlers {
    /// Has the functions called from now on, if they are not yet.
    ///
    /// # Safety
    ///
    /// The function for the child does nothing that is forbidden between `fork` and `exec`.
    pub(crate) unsafe fn register(&self) {
        if !self.is_registered.swap(true, Relaxed) {
            // SAFETY: the functions exist as long as the program. The caller vouches for what they do in the child.
            let refused = unsafe { pthread_atfork(self.before, self.in_parent, self.in_child) } != 0;
            self.is_registered.store(!refused, Relaxed);
        }
    }
}
