//! This is as in the profiler: memory lives as long as the program, which here is one order of steps.

pub(crate) mod limits;

use std::marker::PhantomData;

use crate::arena::carve;
use crate::process::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::*};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Live,
}

pub(crate) fn zeroed_slice(len: usize, _: Purpose) -> Option<&'static [AtomicU64]> {
    // SAFETY: handed out once in an order, aligned, and zero, which is a value of theirs.
    let words: &[AtomicU64] =
        unsafe { std::slice::from_raw_parts(carve(len * size_of::<AtomicU64>()).cast(), len) };
    // Before others know of them.
    words.iter().for_each(|word| drop(word.stand_in()));
    Some(words)
}

pub(crate) fn allocate<T: Sync + 'static>(value: T, _: Purpose) -> Option<&'static T> {
    assert!(align_of::<T>() <= 16);
    let place = carve(size_of::<T>()).cast::<T>();
    // SAFETY: the memory is handed out once in an order, and aligned.
    unsafe {
        place.write(value);
        Some(&*place)
    }
}

pub(crate) fn lend_back(_: &'static [AtomicU64]) -> bool {
    false
}

pub(crate) fn take_back(_: &'static [AtomicU64]) -> bool {
    false
}

pub(crate) fn zero(_: &'static [AtomicU8]) {}

pub(crate) fn keep_pages_small(_: &'static [AtomicU8]) {}

pub(crate) fn prefetch<T>(_: &T) {}

pub(crate) struct AtomicRef<T: 'static> {
    address: AtomicUsize,
    _reference: PhantomData<&'static T>,
}

impl<T: Sync + 'static> AtomicRef<T> {
    pub(crate) const fn none() -> Self {
        AtomicRef { address: AtomicUsize::new(0), _reference: PhantomData }
    }

    pub(crate) fn load(&self) -> Option<&'static T> {
        // SAFETY: only what was a `&'static T`, or null, is ever stored.
        unsafe { std::ptr::with_exposed_provenance::<T>(self.address.load(Acquire)).as_ref() }
    }

    pub(crate) fn store(&self, value: Option<&'static T>) {
        let address = value.map_or(0, |value| std::ptr::from_ref(value).expose_provenance());
        self.address.store(address, Release);
    }
}
