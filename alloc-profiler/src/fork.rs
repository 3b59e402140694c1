//! A child of `fork` begins with nothing of its parent's profile, and with no lock held.
//!
//! Only the forking thread lives on in the child. A lock that another thread held stays held for ever there, and
//! what that thread was changing stays half changed. So the child gives up all that its parent had recorded, and its
//! counts start at zero. The memory of the parent's tables stays mapped in the child; it is shared with the parent and
//! never written again, because a signal handler may have forked out of our own code, which would go on reading it.
//!
//! Settings stay. When the child frees a block of its parent's, nothing notices, as if the block had never been sampled.
//!
//! `vfork` and `posix_spawn`, and with them most of `Command`, run no handlers and need none: their child shares
//! the parent's memory until it is another program.
//!
//! Path: *after a fork*; nothing here allocates, takes a lock, or makes a system call that a signal handler may not make.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::process::alone::Alone;

/// How many forks lie between this process and the one that first called us.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Returns how many forks lie between this process and its ancestor that first called into this crate. What was made at
/// another count is a parent's, whose threads are not in this process. Forks by a bare system call, which the C library does
/// not see, are not counted. The cost is one load.
#[doc(hidden)]
#[must_use]
pub fn forks() -> u64 {
    FORKS.load(Relaxed)
}

/// Has children of `fork` begin anew. It allocates with C's `malloc`, so the program's own calls into this crate make it,
/// and never the allocator.
pub(crate) fn prepare() {
    #[cfg(unix)]
    {
        use std::sync::atomic::AtomicBool;

        extern "C" fn in_child() {
            // SAFETY: the C library calls this in the child before `fork` returns there: no other thread exists yet.
            begin_anew(&unsafe { Alone::new() });
        }

        static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
        // mutant: A4 no handler in children
        if !IS_REGISTERED.swap(true, Relaxed) {
            // SAFETY: the handler exists as long as the program, and does nothing that is forbidden between `fork` and
            // `exec`.
            let refused = unsafe { pthread_atfork(None, None, Some(in_child)) } != 0;
            IS_REGISTERED.store(!refused, Relaxed);
        }
    }
}

#[cfg(unix)]
unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> std::ffi::c_int;
}

#[cfg_attr(not(unix), expect(dead_code, reason = "no fork there"))]
fn begin_anew(alone: &Alone) {
    FORKS.fetch_add(1, Relaxed);
    // mutant: D8 the parent's sockets stay open
    #[cfg(unix)]
    crate::process::descriptors::begin_anew(alone);

    use crate::memory;
    use crate::sampling::{interval, thread};
    use crate::tables::{allocated, drops, filter, live, measured, stacks};

    // The filter is the first: from then on, no record of the parent's is looked for.
    filter::begin_anew(alone);
    // mutant: A4 locks stay held in children
    live::begin_anew(alone);
    stacks::begin_anew(alone);
    allocated::UNSEEN.begin_anew(alone);
    memory::begin_anew(alone);
    // SAFETY: `Alone` is the proof that no other thread is in this process.
    unsafe { unwinder::begin_anew() };
    drops::begin_anew(alone);
    measured::begin_anew(alone);
    interval::measure_all(false);
    // mutant: A4 children keep the seed
    thread::begin_anew(alone);
}
