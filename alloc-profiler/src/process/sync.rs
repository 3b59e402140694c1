//! This is the one lock that is used on the allocation path. It is our own, because it must not allocate, must not park
//! a thread inside its allocator, and must give up after a while, since its owner may be stopped for good.
//!
//! It is held for some dozen instructions or while one small table grows, and never across unwinding, the
//! inner allocator, the loader or encoding.
//!
//! Path: *allocation path*, sampled blocks only.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};

use crate::process::alone::Alone;
use crate::process::c_library;

/// The atomics that tables are made of. The model checker has its own in their place: see `tests/model`.
pub(crate) use std::sync::atomic;

/// Whether a byte is zero, as a relaxed load finds it. (The function is in this file because the model checker has bytes of
/// its own.)
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the only caller's index is in range, which the compiler sees")]
pub(crate) fn is_zero_at<const LEN: usize>(bytes: &[atomic::AtomicU8; LEN], index: usize) -> bool {
    let byte = &bytes[index];
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, elsewhere))))]
    {
        let _ = byte;
        // Compilers load an atomic byte before they compare it, which is an instruction more on every free.
        // SAFETY: `index` is that of an element, which is only read, and a byte is always read whole.
        unsafe {
            std::arch::asm!(
                "cmp byte ptr [{bytes} + {index}], 0",
                "jne {is_not}",
                bytes = in(reg) bytes.as_ptr(),
                index = in(reg) index,
                is_not = label { return false },
                options(nostack, readonly),
            );
        }
        true
    }
    #[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, elsewhere)))))]
    {
        byte.load(Relaxed) == 0
    }
}

/// How long a thread waits for a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The thread gives up after about a millisecond. This is for the allocation path, which can do without the lock.
    Bounded,
    /// The thread gives up after about a second. This is for readers.
    Long,
}

/// How many measurements run, whose figures would be wrong if a thread gave up.
static EXACT: AtomicU32 = AtomicU32::new(0);

/// Has threads on the allocation path wait as long as readers do, until as many calls have taken that back.
pub(crate) fn wait_longer(longer: bool) {
    if longer {
        EXACT.fetch_add(1, Relaxed);
    } else {
        EXACT.fetch_sub(1, Relaxed);
    }
}

/// How often the lock is tried before the first yield: several times as long as it is usually held.
const SPINS: u32 = 100;
/// How often a thread yields at most.
const YIELDS: u32 = 1000;
/// After how many nanoseconds a thread on the allocation path gives up even if it has yielded less often: on a busy machine,
/// one yield can take as long as many.
const NANOS: u64 = 1_000_000;
/// How many naps of a millisecond a reader takes at most.
const NAPS: u32 = 1000;
/// After how many nanoseconds a reader gives up even if it has napped less often: on a busy machine, a nap takes longer.
const LONG_NANOS: u64 = 1_000_000_000;

pub(crate) struct SpinLock<T> {
    is_held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        SpinLock { is_held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, or returns `None` when patience ends first.
    #[inline]
    pub(crate) fn try_lock(&self, patience: Patience) -> Option<Guard<'_, T>> {
        if self.is_held.compare_exchange(false, true, Acquire, Relaxed).is_err() && !self.wait(patience) {
            return None;
        }
        Some(Guard { lock: self })
    }

    /// Takes the lock from whoever holds it: that thread is not in this process.
    pub(crate) fn seize(&self, _: &Alone) -> Guard<'_, T> {
        self.is_held.store(true, Relaxed);
        Guard { lock: self }
    }

    #[cold]
    fn wait(&self, patience: Patience) -> bool {
        let patience = if EXACT.load(Relaxed) == 0 { patience } else { Patience::Long };
        let mut tries: u32 = 0;
        let mut start = None;
        loop {
            if !self.is_held.load(Relaxed)
                && self.is_held.compare_exchange_weak(false, true, Acquire, Relaxed).is_ok()
            {
                return true;
            }
            tries = tries.saturating_add(1);
            if tries <= SPINS {
                std::hint::spin_loop();
            } else if tries <= SPINS + YIELDS {
                let now = c_library::nanos();
                let elapsed = now.wrapping_sub(*start.get_or_insert(now));
                // mutant: C4 locks are waited for
                if elapsed >= NANOS && patience == Patience::Bounded {
                    return false;
                }
                std::thread::yield_now();
            } else if tries <= SPINS + YIELDS + NAPS
                && patience == Patience::Long
                && c_library::nanos().wrapping_sub(start.unwrap_or(0)) < LONG_NANOS
            {
                c_library::nap();
            } else {
                return false;
            }
        }
    }
}

pub(crate) struct Guard<'a, T> {
    lock: &'a SpinLock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while its thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this the only reference through the guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.is_held.store(false, Release);
    }
}
