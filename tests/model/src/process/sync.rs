//! As in the profiler, by loom: a lock that gives up at once, and atomics that begin anew with each order of steps.
//!
//! Loom's atomics belong to one order, the profiler's to the program. So ours know their first value, and one of loom's
//! stands for each. It has to be made before threads are: so a first, single-threaded order is there to learn which
//! statics there are ([`learn`]), and each of the others begins by making theirs.

use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use atomic::{AtomicBool, Ordering::*};

use crate::process::alone::Alone;

thread_local! {
    /// Holds the atomics of loom, by the address of ours. (All threads of a model are one thread of the system's.)
    static STAND_INS: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::new(HashMap::new());
    static ORDER: Cell<u64> = const { Cell::new(0) };
    /// The statics, and what makes their stand-ins.
    static STATICS: RefCell<Vec<(usize, Rc<dyn Fn() -> Rc<dyn Any>>)>> = const { RefCell::new(Vec::new()) };
    static IS_LEARNING: Cell<bool> = const { Cell::new(false) };
}

/// Begins an order of steps.
pub(crate) fn begin() {
    STAND_INS.take();
    crate::arena::begin();
    ORDER.set(ORDER.get() + 1);
    for (address, make) in STATICS.with_borrow(Clone::clone) {
        let made = make();
        STAND_INS.with_borrow_mut(|known| known.insert(address, made));
    }
}

/// Statics that `work` uses for the first time in this order have stand-ins from the beginning in all that follow.
pub(crate) fn learn<R>(work: impl FnOnce() -> R) -> R {
    IS_LEARNING.set(true);
    let result = work();
    IS_LEARNING.set(false);
    result
}

fn stand_in<T: 'static>(address: usize, new: impl Fn() -> T + 'static) -> Rc<T> {
    let known = STAND_INS.with_borrow(|known| known.get(&address).cloned());
    let stand_in = known.unwrap_or_else(|| {
        let make = move || Rc::new(new()) as Rc<dyn Any>;
        let made = make();
        if IS_LEARNING.get() && !crate::arena::is_carved(address) {
            STATICS.with_borrow_mut(|statics| statics.push((address, Rc::new(make))));
        }
        STAND_INS.with_borrow_mut(|known| known.entry(address).or_insert(made).clone())
    });
    stand_in.downcast().expect("one type at one address")
}

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::fence;
    pub(crate) use std::sync::atomic::Ordering;

    macro_rules! atomics {
        ($($name:ident: $value:ty),*) => {$(
            pub(crate) struct $name($value);

            impl $name {
                pub(crate) const fn new(first: $value) -> Self {
                    $name(first)
                }

                pub(crate) fn stand_in(&self) -> std::rc::Rc<loom::sync::atomic::$name> {
                    let first = self.0;
                    super::stand_in(std::ptr::from_ref(self).addr(), move || {
                        loom::sync::atomic::$name::new(first)
                    })
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $value {
                    self.stand_in().load(ordering)
                }

                pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                    self.stand_in().store(value, ordering)
                }

                pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                    self.stand_in().swap(value, ordering)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.stand_in().compare_exchange(current, new, success, failure)
                }
            }
        )*};
    }
    atomics!(AtomicBool: bool, AtomicU8: u8, AtomicU64: u64, AtomicUsize: usize);

    impl AtomicU64 {
        pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
            self.stand_in().fetch_add(value, ordering)
        }
    }
}

pub(crate) fn is_zero_at<const LEN: usize>(bytes: &[atomic::AtomicU8; LEN], index: usize) -> bool {
    bytes[index].load(Relaxed) == 0
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Bounded,
    Long,
}

pub(crate) struct SpinLock<T> {
    is_held: AtomicBool,
    first: T,
    value: UnsafeCell<T>,
    /// Whose value it is.
    order: Cell<u64>,
}

// SAFETY: all threads of a model are one thread of the system's.
unsafe impl<T> Sync for SpinLock<T> {}

impl<T: Copy> SpinLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        SpinLock {
            is_held: AtomicBool::new(false),
            first: value,
            value: UnsafeCell::new(value),
            order: Cell::new(0),
        }
    }

    pub(crate) fn try_lock(&self, _: Patience) -> Option<Guard<'_, T>> {
        self.is_held.compare_exchange(false, true, Acquire, Relaxed).ok()?;
        if self.order.replace(ORDER.get()) != ORDER.get() {
            // SAFETY: the lock is held, so nobody else refers to the value.
            unsafe { *self.value.get() = self.first };
        }
        self.touch();
        Some(Guard { lock: self })
    }

    pub(crate) fn seize(&self, _: &Alone) -> Guard<'_, T> {
        Guard { lock: self }
    }

    /// Has loom see that nobody else is at the value.
    fn touch(&self) {
        let cell = stand_in(self.value.get().addr(), || loom::cell::UnsafeCell::new(()));
        cell.with_mut(|_| ());
    }
}

pub(crate) struct Guard<'a, T: Copy> {
    lock: &'a SpinLock<T>,
}

impl<T: Copy> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while its thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: Copy> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this the only reference through the guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Copy> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.touch();
        self.lock.is_held.store(false, Release);
    }
}
