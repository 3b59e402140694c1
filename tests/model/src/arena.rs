//! Memory that is handed out once in an order of steps, and anew in the next one.

use std::cell::Cell;

const ARENA_BYTES: usize = 1 << 16;

thread_local! {
    static ARENA: &'static [Cell<u128>] = Box::leak(vec![Cell::new(0); ARENA_BYTES / 16].into());
    static USED: Cell<usize> = const { Cell::new(0) };
}

/// Nothing is taken, and all is zero.
pub(crate) fn begin() {
    ARENA.with(|arena| arena[..USED.get().div_ceil(16)].iter().for_each(|word| word.set(0)));
    USED.set(0);
}

/// Bytes that nobody else has in this order, zeroed and aligned to 16.
pub(crate) fn carve(bytes: usize) -> *mut u8 {
    let start = USED.get().next_multiple_of(16);
    assert!(start + bytes <= ARENA_BYTES);
    USED.set(start + bytes);
    ARENA.with(|arena| arena.as_ptr().cast::<u8>().cast_mut().wrapping_add(start))
}

/// Whether it is none of a static's.
pub(crate) fn is_carved(address: usize) -> bool {
    let start = ARENA.with(|arena| arena.as_ptr().addr());
    (start..start + ARENA_BYTES).contains(&address)
}
