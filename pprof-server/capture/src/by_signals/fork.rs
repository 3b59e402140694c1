//! What `fork` does to a capture.
//!
//! Older kernels begin a `fork` again whenever a signal arrives meanwhile; Linux 6.18 does not. Where the copy of the page tables takes longer than a
//! period, it would never end. So the thread that forks takes no signal of ours until it has forked.
//!
//! The child has the parent's memory, but none of its threads and timers. It forgets the capture, and its own captures draw
//! another key.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use crate::fork_handlers::ForkHandlers;

use super::{forks, machine, own_threads, sender, signals, turn};

thread_local! {
    /// What the thread that forks had blocked before.
    static BLOCKED: Cell<Option<libc::sigset_t>> = const { Cell::new(None) };
}

static HANDLERS: ForkHandlers = ForkHandlers {
    before: Some(before),
    in_parent: Some(in_parent),
    in_child: Some(in_child),
    is_registered: AtomicBool::new(false),
};

/// Has the functions below called at each `fork` from now on.
pub(super) fn prepare() {
    // SAFETY: `in_child` does nothing that is forbidden between `fork` and `exec`.
    unsafe { HANDLERS.register() };
}

extern "C" fn before() {
    // mutant: E6 signals come while a process forks
    let blocked = signals::block();
    let _ = BLOCKED.try_with(|before| before.set(Some(blocked)));
}

extern "C" fn in_parent() {
    if let Some(blocked) = BLOCKED.try_with(Cell::take).ok().flatten() {
        signals::restore(&blocked);
    }
}

extern "C" fn in_child() {
    forks::add();
    sender::begin_anew();
    // SAFETY: the C library calls this in the child before `fork` returns there: no other thread exists yet. The thread was in
    // `fork`, and so not in our handler, which does not fork.
    unsafe { machine::begin_anew() };
    own_threads::begin_anew();
    // mutant: E6 a child has its parent's capture
    turn::begin_anew();
    in_parent();
}
