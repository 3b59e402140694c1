//! What is known of images lives here: memory that was there when the program started, is handed out once, and is never
//! given back. So references into it are valid for ever, and nothing allocates.
//!
//! The kernel backs a page of it when something is first put there.
//!
//! Path: *allocation path*, when an image is met for the first time.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// There is room for some thousand images with paths of some hundred bytes.
const STORE_BYTES: usize = 512 << 10;

#[repr(align(4096))]
struct Store(UnsafeCell<[MaybeUninit<u8>; STORE_BYTES]>);

// SAFETY: `carve` hands out each byte once, and nobody reaches the bytes otherwise.
unsafe impl Sync for Store {}

static STORE: Store = Store(UnsafeCell::new([MaybeUninit::uninit(); STORE_BYTES]));
static USED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are in use, rounded up to pages of 4096 bytes.
pub(crate) fn held_bytes() -> usize {
    USED_BYTES.load(Relaxed).next_multiple_of(4096)
}

/// Moves `value` into memory that lives for ever, or drops it and returns `None` if the store is full.
pub(crate) fn place<T: Sync + 'static>(value: T) -> Option<&'static T> {
    let place = carve(size_of::<T>(), align_of::<T>())?.cast::<T>();
    // SAFETY: `carve` hands out each byte once, aligned: we are its only user until we share it.
    unsafe {
        place.write(value);
        Some(&*place)
    }
}

/// Copies `bytes` to memory that lives for ever, or returns `None` if the store is full.
pub(crate) fn copy(bytes: &[u8]) -> Option<&'static [u8]> {
    let place = carve(bytes.len(), 1)?;
    // SAFETY: as in `place`; the two areas are distinct, and room for as many bytes was carved.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        Some(std::slice::from_raw_parts(place, bytes.len()))
    }
}

/// The start of `bytes` bytes that nobody else has.
fn carve(bytes: usize, align: usize) -> Option<*mut u8> {
    // The store itself is aligned to pages.
    let start_and_end = |used: usize| {
        let start = used.checked_next_multiple_of(align)?;
        Some((start, start.checked_add(bytes).filter(|&end| end <= STORE_BYTES)?))
    };
    let used = USED_BYTES.fetch_update(Relaxed, Relaxed, |used| Some(start_and_end(used)?.1)).ok()?;
    Some(STORE.0.get().cast::<u8>().wrapping_add(start_and_end(used)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_placed_stays_and_is_apart_from_all_else() {
        let before = USED_BYTES.load(Relaxed);
        let texts: Vec<&[u8]> = [&b"one"[..], b"", b"three"].map(|text| copy(text).unwrap()).into();
        let numbers: Vec<&u64> = (0..100).map(|number| place(number).unwrap()).collect();
        assert!(texts.iter().eq(&[&b"one"[..], b"", b"three"]));
        assert!(numbers.iter().map(|number| **number).eq(0..100));
        let first = ptr::from_ref(numbers[0]).addr();
        assert!(numbers.iter().all(|number| ptr::from_ref(*number).is_aligned()));
        assert!(numbers.iter().enumerate().skip(1).all(|(_, number)| ptr::from_ref(*number).addr() != first));
        assert!(USED_BYTES.load(Relaxed) >= before + 8 + 800);
        assert!(held_bytes() >= USED_BYTES.load(Relaxed));
        assert!(carve(STORE_BYTES + 1, 1).is_none());
        assert!(carve(usize::MAX, 8).is_none());
    }
}
