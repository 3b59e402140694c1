//! What `fork` does to what is known of waits: a child has none of its parent's threads, and begins anew.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

extern "C" fn in_child() {
    super::begin_anew();
}

/// Has children begin anew from now on.
pub(super) fn prepare() {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    if !IS_REGISTERED.swap(true, Relaxed) {
        // SAFETY: the handler exists as long as the program, and stores words: that is allowed between `fork` and `exec`.
        let refused = unsafe { pthread_atfork(None, None, Some(in_child)) } != 0;
        IS_REGISTERED.store(!refused, Relaxed);
    }
}
