//! What `fork` does to what is known of waits: a child has none of its parent's threads, and begins anew.

use std::sync::atomic::AtomicBool;

use crate::fork_handlers::ForkHandlers;

static HANDLERS: ForkHandlers = ForkHandlers {
    before: None,
    in_parent: None,
    in_child: Some(in_child),
    is_registered: AtomicBool::new(false),
};

extern "C" fn in_child() {
    super::begin_anew();
}

/// Has children begin anew from now on.
pub(super) fn prepare() {
    // SAFETY: `in_child` stores words, which is allowed between `fork` and `exec`.
    unsafe { HANDLERS.register() };
}
