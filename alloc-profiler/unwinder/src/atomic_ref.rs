//! Threads share such a reference, which is set or not.
//!
//! Path: *allocation path*, sampled allocations only.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// This is an `Option<&'static T>` that threads can share. `alloc-profiler` uses it too.
pub struct AtomicRef<T: 'static> {
    pointer: AtomicPtr<T>,
    _reference: PhantomData<&'static T>,
}

impl<T: Sync + 'static> AtomicRef<T> {
    /// Makes one that is not set.
    #[must_use]
    pub const fn none() -> Self {
        AtomicRef { pointer: AtomicPtr::new(ptr::null_mut()), _reference: PhantomData }
    }

    /// Returns the reference, and lets the caller see what was written to the value before it was stored.
    #[inline]
    pub fn load(&self) -> Option<&'static T> {
        // SAFETY: only `store` and `replace` write it, and only what was a `&'static T` or null; the Acquire
        // load sees what was written to the value before its Release store.
        unsafe { self.pointer.load(Acquire).as_ref() }
    }

    /// Sets the reference, or unsets it.
    #[inline]
    pub fn store(&self, value: Option<&'static T>) {
        self.pointer.store(as_pointer(value), Release);
    }

    /// Stores `new` if the current value is `current`.
    ///
    /// # Errors
    ///
    /// It returns the current value if that is another one.
    #[inline]
    pub fn replace(&self, current: Option<&'static T>, new: &'static T) -> Result<(), Option<&'static T>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_replaced_only_if_it_is_the_one_that_was_seen() {
        static NUMBER: AtomicRef<u64> = AtomicRef::none();
        let [one, two]: [&u64; 2] = [&1, &2];
        assert_eq!((NUMBER.load(), NUMBER.replace(None, one), NUMBER.load()), (None, Ok(()), Some(one)));
        assert_eq!(NUMBER.replace(None, two), Err(Some(one)));
        assert_eq!((NUMBER.replace(Some(one), two), NUMBER.load()), (Ok(()), Some(two)));
        NUMBER.store(None);
        assert_eq!((NUMBER.load(), NUMBER.replace(Some(two), one)), (None, Err(None)));
    }
}
