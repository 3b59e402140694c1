//! The threads that the controller knows: those with a timer of their own, and those that are left out. The handler ignores
//! what the process's timer says of them.
//!
//! It is a table that only grows during a capture, without a lock. A thread that has ended stays in it; its number is hardly
//! ever given to another one so soon.
//!
//! Path: *signal handlers*, but for [`KnownThreads::add`].

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const SLOTS: usize = 1 << 15;
/// Threads that are added: beyond, look-ups would take longer.
const MAX_THREADS: u32 = 3 * SLOTS as u32 / 4;

/// Zeroed memory is an empty table.
#[repr(C)]
pub(super) struct KnownThreads {
    /// Numbers of threads, which are not 0.
    slots: [AtomicU32; SLOTS],
    count: AtomicU32,
}

impl KnownThreads {
    /// Adds a thread. False: there is no room for it. Only the controller calls this.
    pub(super) fn add(&self, thread_id: u32) -> bool {
        for index in places(thread_id) {
            let Some(slot) = self.slots.get(index) else { return false };
            match slot.load(Relaxed) {
                0 if self.count.load(Relaxed) >= MAX_THREADS => return false,
                0 => {
                    slot.store(thread_id, Relaxed);
                    self.count.fetch_add(1, Relaxed);
                    return true;
                }
                known if known == thread_id => return true,
                _ => {}
            }
        }
        false
    }

    pub(super) fn contains(&self, thread_id: u32) -> bool {
        for index in places(thread_id) {
            match self.slots.get(index).map_or(0, |slot| slot.load(Relaxed)) {
                0 => return false,
                known if known == thread_id => return true,
                _ => {}
            }
        }
        false
    }
}

/// Tells where to look for a thread, in order. Numbers are given in a row, so they spread by themselves.
fn places(thread_id: u32) -> impl Iterator<Item = usize> {
    (0..SLOTS).map(move |next| (thread_id as usize).wrapping_add(next) % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_known_up_to_the_limit() {
        let layout = std::alloc::Layout::new::<KnownThreads>();
        // SAFETY: zeroed memory is an empty table, of that layout.
        let threads = unsafe { Box::from_raw(std::alloc::alloc_zeroed(layout).cast::<KnownThreads>()) };
        assert!(!threads.contains(1));
        // All begin at the same place.
        let number = |index: u32| 7 + index * SLOTS as u32;
        assert!((0..100).all(|index| threads.add(number(index)) && threads.add(number(index))));
        assert!((0..100).all(|index| threads.contains(number(index))) && !threads.contains(number(100)));
        assert!((1000..1000 + MAX_THREADS - 100).all(|thread| threads.add(thread)));
        assert!(!threads.add(5), "the table is full");
        assert!(threads.add(number(3)), "it is there already");
    }
}
