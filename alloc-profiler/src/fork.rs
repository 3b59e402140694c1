//! What a child of `fork` begins with: nothing of its parent's profile, and no lock held.
//!
//! Only the forking thread lives on in the child. A lock that another thread held stays held for ever there, and
//! what it was changing stays half changed; so the child gives up all that its parent had recorded, and its
//! counts start at zero. What the parent's tables were mapped for stays mapped, shared with the parent and never
//! written again: a signal's handler may have forked out of our own code, which would go on reading it.
//!
//! Settings stay. Blocks of the parent's are freed in the child unnoticed, as if never sampled.
//!
//! `vfork` and `posix_spawn`, and with them most of `Command`, run no handlers and need none: their child shares
//! the parent's memory until it is another program.
//!
//! Path: *after a fork*; no allocation, no lock, no system call that a signal's handler could not make.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::alone::Alone;

/// How many forks lie between this process and the one that first called us.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// How many forks lie between this process and its ancestor that first called into this crate: what was made at another
/// count is a parent's, whose threads are not here. Forks by system call, past the C library, are not counted.
///
/// Cost: a load.
#[doc(hidden)]
#[must_use]
pub fn forks() -> u64 {
    FORKS.load(Relaxed)
}

/// Has children of `fork` begin anew. Allocates with C's `malloc`, so it is called by the program's own calls
/// into us, never by the allocator.
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
            // SAFETY: the handler is there for as long as the program, and does nothing that may not be done
            // between `fork` and `exec`.
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
    crate::descriptors::begin_anew(alone);

    use crate::{drops, filter, live, memory, sampler, stack, stacks};

    // The filter first: from then on, nothing of the parent's is looked for.
    filter::begin_anew(alone);
    // mutant: A4 locks stay held in children
    live::begin_anew(alone);
    stacks::begin_anew(alone);
    memory::begin_anew(alone);
    stack::begin_anew(alone);
    drops::begin_anew(alone);
    // mutant: A4 children keep the seed
    sampler::begin_anew(alone);
}
