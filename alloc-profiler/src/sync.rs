//! The one lock used on the allocation path, and why it is our own: it must not allocate, must not park a
//! thread inside its allocator, and must give up after a while, for its owner may be stopped for good.
//!
//! It is held for some dozen instructions, or one small table's growth, and never across unwinding, the
//! inner allocator, the loader or encoding; but for those of `stack::recent`, which nobody waits for.
//!
//! Path: *allocation path*, sampled blocks only.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::*};

use crate::alone::Alone;
use crate::c_library;

/// What tables are made of. A model checker has its own in their place: `tests/model`.
pub(crate) use std::sync::atomic;

/// Whether a byte is zero, as a relaxed load finds it. (Here, since the model checker's bytes are others.)
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the only caller's index is in range, which the compiler sees")]
pub(crate) fn is_zero_at<const LEN: usize>(bytes: &[atomic::AtomicU8; LEN], index: usize) -> bool {
    let byte = &bytes[index];
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, elsewhere))))]
    {
        let _ = byte;
        // Compilers load an atomic byte before they compare it: an instruction more on every free.
        // SAFETY: `index` is that of an element, which is read, no more; and an aligned byte is always read whole.
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

/// How long to wait for a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// One try: for what one can do without.
    None,
    /// About a millisecond, then give up: for the allocation path, which can do without.
    Bounded,
    /// About a second: for readers.
    Long,
}

/// Tries before the first yield: several times the usual hold.
const SPINS: u32 = 100;
/// Yields before giving up, and the time before which: on a busy machine, one yield can take as long as many.
const YIELDS: u32 = 1000;
const NANOS: u64 = 1_000_000;
/// Naps of a millisecond before readers give up too, and the time: on a busy machine, a nap takes longer.
const NAPS: u32 = 1000;
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

    /// `None` when patience ends first.
    #[inline]
    pub(crate) fn try_lock(&self, patience: Patience) -> Option<Guard<'_, T>> {
        if self.is_held.compare_exchange(false, true, Acquire, Relaxed).is_err() && !self.wait(patience) {
            return None;
        }
        Some(Guard { lock: self })
    }

    /// The lock, whoever holds it: its owner is not in this process.
    pub(crate) fn seize(&self, _: &Alone) -> Guard<'_, T> {
        self.is_held.store(true, Relaxed);
        Guard { lock: self }
    }

    #[cold]
    fn wait(&self, patience: Patience) -> bool {
        if patience == Patience::None {
            return false;
        }
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
