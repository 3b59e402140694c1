//! Walks are remembered, so that the next ones need not find their frames anew. This is one layer over the rest, which
//! works without it.
//!
//! - `recent`: the last walk of each thread, from which the next one takes over what the two have in common;
//! - `known`: whole walks, to each of which a caller has attached a cookie.
//!
//! Every remembered return address is read from the stack and compared before it is believed.
//!
//! A thread finds its slot by where its stack is. A slot has a lock, which is tried once: two threads that meet in a slot,
//! and a signal handler that interrupts its thread in here, walk without what is remembered.
//!
//! Path: *allocation path*, sampled allocations only.

mod entry;
mod frame_place;
mod known;
mod recent;

pub(super) use recent::{Recent, RunEnd};

use super::pages;
use crate::lock::{Guard, TryLock};
use crate::{Cookie, hash};
use entry::Beginning;

const SLOTS: usize = 64;

static SLOT: [TryLock<Recent>; SLOTS] = [const { TryLock::new(Recent::NONE) }; SLOTS];

/// The slot of the thread whose stack ends at `stack_end`, if it is free.
#[inline(always)]
pub(super) fn of_thread(stack_end: usize) -> Option<Guard<'static, Recent>> {
    // Stacks end on pages.
    let hash = hash::multiply(stack_end as u64 >> 12);
    SLOT.get((hash >> 58) as usize)?.try_lock()
}

/// Keeps the slots' memory to what is used of it.
pub(super) fn prepare() {
    pages::keep_small(&SLOT);
}

/// Where the walk that was finished last can be kept as a whole.
pub(crate) struct Remembering {
    recent: Guard<'static, Recent>,
    beginning: Beginning,
}

impl Remembering {
    pub(super) fn new(recent: Guard<'static, Recent>, beginning: Beginning) -> Remembering {
        Remembering { recent, beginning }
    }

    /// Keeps the walk with what a caller has attached to it.
    pub(crate) fn keep(mut self, cookie: Cookie) {
        self.recent.keep_as_known(self.beginning, cookie);
    }
}

/// Forgets all walks: one may have been half noted when the process forked.
///
/// # Safety
///
/// The calling thread is the only one of its process.
pub(crate) unsafe fn begin_anew() {
    for slot in &SLOT {
        // SAFETY: the caller's promise, passed on.
        unsafe { slot.seize() }.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Remember, capture, prepare, prepare_thread, room};
    use std::num::NonZeroUsize;

    #[inline(never)]
    fn met_with(cookie: Cookie) -> bool {
        let mut room = room();
        let walk = capture(&mut room, Remember::WholeWalks);
        match walk.met() {
            Some(met) => {
                assert_eq!(met, cookie);
                true
            }
            None => {
                walk.remember(cookie);
                false
            }
        }
    }

    /// Walks are remembered by the door that callers have.
    #[test]
    fn a_walk_is_met_again_with_its_cookie() {
        prepare();
        let thread = std::thread::spawn(|| {
            prepare_thread();
            let cookie = Cookie(NonZeroUsize::new(42).unwrap());
            (0..1000).filter(|_| met_with(cookie)).count()
        });
        assert!(thread.join().unwrap() > 900);
    }
}
