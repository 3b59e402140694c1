//! The profiler has memory of its own. It is mapped straight from the system, zeroed, capped, and never given back.
//!
//! Everything that the tables keep is carved from here, so none of it passes through the allocator that we
//! wrap, and a reference into it is valid for ever. That is what lets readers look without a lock.
//! All `unsafe` of the tables is in this folder.
//!
//! Path: *allocation path*, sampled allocations only.

pub(crate) mod limits;
mod system;

use std::mem::{align_of, size_of};
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::*};

use crate::process::alone::Alone;
pub(crate) use unwinder::AtomicRef;

/// Small pieces share chunks of this size; larger ones, and whole pages, are mapped on their own.
const CHUNK_BYTES: usize = 64 * 1024;
const PAGE_BYTES: usize = 4096;

/// Which share of the cap a piece of memory counts towards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is for stacks and their totals, which get at most half of the cap: an explosion of stacks must not leave live
    /// samples without room, for then the memory in use would be wrong too.
    Stacks,
    /// It is for records of live samples, which get whatever the stacks leave.
    Live,
}

static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// So many mappings are listed for readers of the process's memory. There are a few hundred where the cap is the default.
const MAX_LISTED: usize = 2048;
/// Lists where each mapping begins and how long it is. None is ever taken out, since mappings stay.
static LISTED: [[AtomicUsize; 2]; MAX_LISTED] =
    [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; MAX_LISTED];
static LISTED_COUNT: AtomicUsize = AtomicUsize::new(0);

// Each purpose has a chunk of its own, so that its share of the cap is counted in whole mappings. No lock guards a chunk: a
// thread may be interrupted for long while it maps one, and what others record meanwhile would be lost.
static STACKS_CHUNK: AtomicRef<Chunk> = AtomicRef::none();
static LIVE_CHUNK: AtomicRef<Chunk> = AtomicRef::none();
static STACKS_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The head of a chunk, which stands at the start of the memory that it tells of.
struct Chunk {
    next: AtomicUsize,
    end: usize,
}

impl Chunk {
    /// Takes a piece from the chunk, and returns its address, or `None` if there is not enough room left.
    fn carve(&self, bytes: usize, align: usize) -> Option<usize> {
        let start_and_end = |next: usize| {
            let start = next.checked_next_multiple_of(align)?;
            Some((start, start.checked_add(bytes).filter(|&end| end <= self.end)?))
        };
        // mutant: C4 memory without a lock is handed out twice
        let taken = self.next.fetch_update(Relaxed, Relaxed, |next| Some(start_and_end(next)?.1));
        Some(start_and_end(taken.ok()?)?.0)
    }
}

/// Types for which all-zero bytes are a value.
///
/// # Safety
///
/// An implementor must be valid when zeroed, hold no padding that matters, and need no `Drop`.
pub(crate) unsafe trait Zeroed: Sync + 'static {}

// SAFETY: it is a plain integer, which is valid for every bit pattern.
unsafe impl Zeroed for AtomicU64 {}

/// Returns `len` zeroed elements, or `None` at the cap or when the system has no memory.
pub(crate) fn zeroed_slice<T: Zeroed>(len: usize, purpose: Purpose) -> Option<&'static [T]> {
    let start = carve(len.checked_mul(size_of::<T>())?, align_of::<T>(), purpose)?;
    // SAFETY: `carve` hands out each byte once, for ever, zeroed and aligned; `Zeroed` makes that valid.
    Some(unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(start), len) })
}

/// Moves `value` into memory that lives for ever, or drops it and returns `None` at the cap.
pub(crate) fn allocate<T: Sync + 'static>(value: T, purpose: Purpose) -> Option<&'static T> {
    let room = ptr::with_exposed_provenance_mut::<T>(carve(size_of::<T>(), align_of::<T>(), purpose)?);
    // SAFETY: `carve` hands out each byte once, for ever, and aligned: we are its only user until we share it.
    unsafe {
        room.write(value);
        Some(&*room)
    }
}

/// Returns a reference as a number, for whoever keeps it without knowing what it refers to.
pub(crate) fn number_of<T: Sync>(value: &'static T) -> NonZeroUsize {
    // SAFETY: a reference is not null.
    unsafe { NonZeroUsize::new_unchecked(ptr::from_ref(value).expose_provenance()) }
}

/// Returns the reference that [`number_of`] made a number of.
///
/// # Safety
///
/// `number_of` made the number, from a reference of this type.
#[inline(always)]
pub(crate) unsafe fn of_number<T: Sync>(number: NonZeroUsize) -> &'static T {
    // SAFETY: the caller's promise; such a reference is valid for ever.
    unsafe { &*ptr::with_exposed_provenance(number.get()) }
}

/// Copies `items` to memory that lives for ever, or returns `None` at the cap.
pub(crate) fn copy<T: Copy + Sync + 'static>(items: &[T], purpose: Purpose) -> Option<&'static [T]> {
    let start = carve(size_of_val(items), align_of::<T>(), purpose)?;
    let room = ptr::with_exposed_provenance_mut::<T>(start);
    // SAFETY: `carve` hands out each byte once, for ever, and aligned. So the two areas are distinct, and there is room for
    // as many items.
    unsafe {
        ptr::copy_nonoverlapping(items.as_ptr(), room, items.len());
        Some(std::slice::from_raw_parts(room, items.len()))
    }
}

/// Whether the system would give so many bytes now. The allocator is not asked: glibc's keeps freed memory for longer, and opens
/// a file to find out how to give it back, once a block of that size was freed.
#[must_use]
pub fn is_there(bytes: usize) -> bool {
    system::map_zeroed(bytes).inspect(|&start| system::unmap(start, bytes)).is_some()
}

/// Returns how many bytes are mapped.
pub(crate) fn mapped_bytes() -> usize {
    MAPPED_BYTES.load(Relaxed)
}

/// Returns the address of `bytes` zeroed bytes that nobody else has.
fn carve(bytes: usize, align: usize, purpose: Purpose) -> Option<usize> {
    if bytes > CHUNK_BYTES / 4 || is_whole_pages(bytes) {
        return map(bytes.checked_next_multiple_of(PAGE_BYTES)?, purpose);
    }
    let chunk = match purpose {
        Purpose::Stacks => &STACKS_CHUNK,
        Purpose::Live => &LIVE_CHUNK,
    };
    let mut current = chunk.load();
    loop {
        if let Some(start) = current.and_then(|current| current.carve(bytes, align)) {
            return Some(start);
        }
        let Some(start) = map(CHUNK_BYTES, purpose) else {
            // Perhaps the cap is reached because another thread has just mapped the last chunk: then that one has room.
            let newer = chunk.load();
            if newer.map(ptr::from_ref) == current.map(ptr::from_ref) {
                return None;
            }
            current = newer;
            continue;
        };
        let next = AtomicUsize::new(start.checked_add(size_of::<Chunk>())?);
        let new = ptr::with_exposed_provenance_mut::<Chunk>(start);
        // SAFETY: this is the start of a mapping that nobody else has, as large as a chunk and aligned to pages.
        let new = unsafe {
            new.write(Chunk { next, end: start.checked_add(CHUNK_BYTES)? });
            &*new
        };
        current = match chunk.replace(current, new) {
            Ok(()) => Some(new),
            Err(newer) => {
                unmap(start, CHUNK_BYTES, purpose);
                newer
            }
        };
    }
}

fn is_whole_pages(bytes: usize) -> bool {
    bytes != 0 && bytes.is_multiple_of(PAGE_BYTES)
}

/// Maps `bytes` bytes (a multiple of the page) if the cap allows it, and returns their address.
fn map(bytes: usize, purpose: Purpose) -> Option<usize> {
    let limit = limits::memory_bytes();
    if !take(&MAPPED_BYTES, bytes, limit) {
        return None;
    }
    if purpose == Purpose::Stacks && !take(&STACKS_BYTES, bytes, limit / 2) {
        MAPPED_BYTES.fetch_sub(bytes, Relaxed);
        return None;
    }
    let start = system::map_zeroed(bytes);
    match start {
        Some(start) => list(start, bytes),
        None => discount(bytes, purpose),
    }
    start
}

/// Notes a mapping for [`for_each_mapping`].
fn list(start: usize, bytes: usize) {
    let index = LISTED_COUNT.fetch_add(1, Relaxed);
    if let Some([listed_start, listed_bytes]) = LISTED.get(index) {
        listed_bytes.store(bytes, Relaxed);
        listed_start.store(start, Release);
    }
}

/// Calls `visit` with the beginning and the size of each mapping of the profiler's. Their words are addresses of blocks, and hold
/// none of them. Returns false if there are more mappings than are listed.
pub fn for_each_mapping(mut visit: impl FnMut(usize, usize)) -> bool {
    let count = LISTED_COUNT.load(Relaxed);
    for [start, bytes] in LISTED.iter().take(count) {
        match start.load(Acquire) {
            0 => {}
            start => visit(start, bytes.load(Relaxed)),
        }
    }
    count <= MAX_LISTED
}

/// Gives back what `map` returned and nobody else has heard of.
#[cold]
fn unmap(start: usize, bytes: usize, purpose: Purpose) {
    let listed = LISTED.iter().find(|[listed, _]| listed.load(Relaxed) == start);
    if let Some([listed, _]) = listed {
        listed.store(0, Relaxed);
    }
    system::unmap(start, bytes);
    discount(bytes, purpose);
}

fn discount(bytes: usize, purpose: Purpose) {
    MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    if purpose == Purpose::Stacks {
        STACKS_BYTES.fetch_sub(bytes, Relaxed);
    }
}

/// Adds `bytes` to `counter`, unless that exceeds `limit`.
fn take(counter: &AtomicUsize, bytes: usize, limit: usize) -> bool {
    let add = |used: usize| used.checked_add(bytes).filter(|&used| used <= limit);
    counter.fetch_update(Relaxed, Relaxed, add).is_ok()
}

/// Gives the pages of `words` back to the system, which zeroes them when they are touched again. Whoever reads
/// them meanwhile reads what was there, or zero. It returns false if they are not pages of their own or if the system keeps
/// them; then nothing changed. It is for what was mapped for [`Purpose::Live`].
pub(crate) fn lend_back(words: &'static [AtomicU64]) -> bool {
    let bytes = size_of_val(words);
    let is_lent = is_whole_pages(bytes) && system::discard(words.as_ptr().expose_provenance(), bytes);
    if is_lent {
        MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    }
    is_lent
}

/// Counts what was lent back as ours again, or returns false if that would exceed the cap.
pub(crate) fn take_back(words: &'static [AtomicU64]) -> bool {
    take(&MAPPED_BYTES, size_of_val(words), limits::memory_bytes())
}

/// Has the child of a fork begin with no memory. What the parent had is left alone, and no longer counts.
pub(crate) fn begin_anew(_: &Alone) {
    STACKS_CHUNK.store(None);
    LIVE_CHUNK.store(None);
    STACKS_BYTES.store(0, Relaxed);
    MAPPED_BYTES.store(0, Relaxed);
}

/// Zeroes `bytes`, a static of ours, without touching those of its pages that were never touched.
pub(crate) fn zero(bytes: &'static [AtomicU8]) {
    let pages_from = bytes.as_ptr().align_offset(PAGE_BYTES).min(bytes.len());
    let (before, pages) = bytes.split_at(pages_from);
    let whole_pages = pages.len() & !(PAGE_BYTES - 1);
    let (pages, after) = pages.split_at(whole_pages);
    let by_hand = |bytes: &[AtomicU8]| {
        bytes.iter().filter(|byte| byte.load(Relaxed) != 0).for_each(|byte| byte.store(0, Relaxed));
    };
    by_hand(before);
    by_hand(after);
    if !system::discard(pages.as_ptr().expose_provenance(), pages.len()) {
        by_hand(pages);
    }
}

/// Asks for the cache line of `value`, without waiting for it.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: this is a hint, which never faults, and the instruction is part of the base architecture.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks the system never to back `bytes` by huge pages: one sampled block would otherwise cost 2 MiB.
pub(crate) fn keep_pages_small(bytes: &'static [AtomicU8]) {
    system::keep_pages_small(bytes.as_ptr().expose_provenance(), bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    /// What several threads are handed at a time, across many chunks, is each one's alone.
    #[test]
    fn nobody_else_has_a_piece() {
        static START: Barrier = Barrier::new(4);
        let pieces_of = |thread: u64| {
            // As much as possible happens at the same time: only then could two threads be handed the same piece.
            START.wait();
            let pieces = (1..40_000).map(|n| {
                let len = (n * 7 + thread as usize) % 9 + 1;
                let purpose = if n % 2 == 0 { Purpose::Live } else { Purpose::Stacks };
                let piece: &[AtomicU64] = zeroed_slice(len, purpose).expect("below the cap");
                assert!(piece.iter().all(|word| word.swap(thread, Relaxed) == 0), "used before");
                piece
            });
            pieces.collect::<Vec<_>>()
        };
        let threads: Vec<_> =
            (1..5).map(|thread| (thread, thread::spawn(move || pieces_of(thread)))).collect();
        for (thread, pieces) in threads {
            let pieces = pieces.join().expect("all were zero");
            let words = pieces.iter().flat_map(|piece| piece.iter());
            assert_eq!(words.filter(|word| word.load(Relaxed) != thread).count(), 0, "another's besides");
        }
    }
}
