//! This lock is tried and never waited for: nothing is lost when somebody else holds it.
//!
//! So it can be tried anywhere, in a signal handler too, which may have interrupted the owner of the lock.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::*};

pub(crate) struct TryLock<T> {
    is_held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        TryLock { is_held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// `None`: somebody holds it.
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        let is_free = self.is_held.compare_exchange(false, true, Acquire, Relaxed).is_ok();
        // A closure makes the guard: one that is made and dropped where the lock is held by somebody else would free it.
        is_free.then(|| Guard { lock: self })
    }

    /// The lock, whoever holds it.
    ///
    /// # Safety
    ///
    /// The calling thread is the only one of its process, so whoever holds the lock never comes back for it.
    pub(crate) unsafe fn seize(&self) -> Guard<'_, T> {
        self.is_held.store(true, Relaxed);
        Guard { lock: self }
    }
}

pub(crate) struct Guard<'a, T> {
    lock: &'a TryLock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while its thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this the only reference through the guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.is_held.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let lock = TryLock::new(0_u64);
        let guard = lock.try_lock().unwrap();
        assert!(lock.try_lock().is_none());
        assert!(lock.try_lock().is_none(), "who does not get it takes it from nobody");
        drop(guard);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut added = 0;
                    while added < 1000 {
                        if let Some(mut value) = lock.try_lock() {
                            *value += 1;
                            added += 1;
                        }
                    }
                });
            }
        });
        assert_eq!(*lock.try_lock().unwrap(), 4000);
    }

    #[test]
    fn it_can_be_seized() {
        let lock = TryLock::new(7);
        std::mem::forget(lock.try_lock());
        // SAFETY: this lock is known to this thread alone.
        assert_eq!(*unsafe { lock.seize() }, 7);
        assert!(lock.try_lock().is_some());
    }
}
