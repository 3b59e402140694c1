//! A reference that threads share, which is set or not.
//!
//! Path: *allocation path*, sampled allocations only.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// An `Option<&'static T>` that threads can share.
pub(crate) struct AtomicRef<T: 'static> {
    pointer: AtomicPtr<T>,
    _reference: PhantomData<&'static T>,
}

impl<T: Sync + 'static> AtomicRef<T> {
    pub(crate) const fn none() -> Self {
        AtomicRef { pointer: AtomicPtr::new(ptr::null_mut()), _reference: PhantomData }
    }

    pub(crate) fn load(&self) -> Option<&'static T> {
        // SAFETY: only `store` and `replace` write it, and only what was a `&'static T` or null; the Acquire
        // load sees what was written to the value before its Release store.
        unsafe { self.pointer.load(Acquire).as_ref() }
    }

    pub(crate) fn store(&self, value: Option<&'static T>) {
        self.pointer.store(as_pointer(value), Release);
    }

    /// Stores `new` if the current value is `current`. Otherwise it returns the current one.
    pub(crate) fn replace(
        &self,
        current: Option<&'static T>,
        new: &'static T,
    ) -> Result<(), Option<&'static T>> {
        match self.pointer.compare_exchange(as_pointer(current), as_pointer(Some(new)), AcqRel, Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: only `store` and `replace` write the pointer, as `load` says.
            Err(other) => Err(unsafe { other.as_ref() }),
        }
    }
}

fn as_pointer<T>(value: Option<&'static T>) -> *mut T {
    value.map_or(ptr::null_mut(), |value| ptr::from_ref(value).cast_mut())
}
