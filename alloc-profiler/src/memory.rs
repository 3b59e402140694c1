//! The profiler's own memory: mapped straight from the system, zeroed, capped, and never given back.
//!
//! Everything that the tables keep is carved from here, so none of it passes through the allocator that we
//! wrap, and a reference into it is valid for ever: that is what lets readers look without a lock.
//! All `unsafe` of the tables is in this file.
//!
//! Path: *allocation path*, sampled allocations only.

use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};

use crate::alone::Alone;
use crate::limits;

/// Small objects share chunks of this size; larger ones, and whole pages, are mapped on their own.
const CHUNK_BYTES: usize = 64 * 1024;
const PAGE_BYTES: usize = 4096;

/// Which share of the cap a piece of memory counts towards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Stacks and their totals, at most half of the cap: an explosion of stacks must not leave live samples
    /// without room, for then the memory in use would be wrong too.
    Stacks,
    /// Records of live samples: whatever the stacks leave.
    Live,
}

static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A chunk for each purpose, so that each one's share of the cap is counted in whole mappings. No lock: a thread may be
/// interrupted for long while it maps a chunk, and what others record meanwhile would be lost.
static STACKS_CHUNK: AtomicRef<Chunk> = AtomicRef::none();
static LIVE_CHUNK: AtomicRef<Chunk> = AtomicRef::none();
static STACKS_BYTES: AtomicUsize = AtomicUsize::new(0);

/// At the start of the memory that it tells of.
struct Chunk {
    next: AtomicUsize,
    end: usize,
}

impl Chunk {
    /// `None`: no room is left for as much.
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

// SAFETY: a plain integer, valid for every bit pattern.
unsafe impl Zeroed for AtomicU64 {}

/// `len` zeroed elements, or `None` at the cap or when the system has no memory.
pub(crate) fn zeroed_slice<T: Zeroed>(len: usize, purpose: Purpose) -> Option<&'static [T]> {
    let start = carve(len.checked_mul(size_of::<T>())?, align_of::<T>(), purpose)?;
    // SAFETY: `carve` hands out each byte once, for ever, zeroed and aligned; `Zeroed` makes that valid.
    Some(unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(start), len) })
}

/// Moves `value` into memory that lives for ever, or drops it and returns `None` at the cap.
pub(crate) fn place<T: Sync + 'static>(value: T, purpose: Purpose) -> Option<&'static T> {
    let place = ptr::with_exposed_provenance_mut::<T>(carve(size_of::<T>(), align_of::<T>(), purpose)?);
    // SAFETY: `carve` hands out each byte once, for ever, and aligned: we are its only user until we share it.
    unsafe {
        place.write(value);
        Some(&*place)
    }
}

/// A reference as a number, for whoever keeps it without knowing what it refers to.
pub(crate) fn number_of<T: Sync>(value: &'static T) -> NonZeroUsize {
    // SAFETY: a reference is not null.
    unsafe { NonZeroUsize::new_unchecked(ptr::from_ref(value).expose_provenance()) }
}

/// The inverse of [`number_of`].
///
/// # Safety
///
/// `number_of` made the number, from a reference of this type.
#[inline(always)]
pub(crate) unsafe fn of_number<T: Sync>(number: NonZeroUsize) -> &'static T {
    // SAFETY: the caller's promise; such a reference is valid for ever.
    unsafe { &*ptr::with_exposed_provenance(number.get()) }
}

/// Copies `items` to memory that lives for ever, or `None` at the cap.
pub(crate) fn copy<T: Copy + Sync + 'static>(items: &[T], purpose: Purpose) -> Option<&'static [T]> {
    let start = carve(size_of_val(items), align_of::<T>(), purpose)?;
    let place = ptr::with_exposed_provenance_mut::<T>(start);
    // SAFETY: as in `place`; the two areas are distinct, and room for as many items was carved.
    unsafe {
        ptr::copy_nonoverlapping(items.as_ptr(), place, items.len());
        Some(std::slice::from_raw_parts(place, items.len()))
    }
}

/// Bytes mapped so far.
pub(crate) fn mapped_bytes() -> usize {
    MAPPED_BYTES.load(Relaxed)
}

/// Address of `bytes` zeroed bytes that nobody else has.
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
            // Perhaps since another thread just mapped the last one.
            let newer = chunk.load();
            if newer.map(ptr::from_ref) == current.map(ptr::from_ref) {
                return None;
            }
            current = newer;
            continue;
        };
        let next = AtomicUsize::new(start.checked_add(size_of::<Chunk>())?);
        let new = ptr::with_exposed_provenance_mut::<Chunk>(start);
        // SAFETY: the start of a mapping that nobody else has, as large as a chunk and aligned to pages.
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

/// Maps `bytes` (a multiple of the page), if the cap allows it.
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
    if start.is_none() {
        discount(bytes, purpose);
    }
    start
}

/// Gives back what `map` returned and nobody else has heard of.
#[cold]
fn unmap(start: usize, bytes: usize, purpose: Purpose) {
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

/// Gives the pages of `words` back to the system, which zeroes them when they are touched again; whoever reads
/// them meanwhile reads what was there, or zero. False: they are not pages of their own, or the system keeps
/// them; then nothing changed. For what was got for [`Purpose::Live`].
pub(crate) fn lend_back(words: &'static [AtomicU64]) -> bool {
    let bytes = size_of_val(words);
    let is_lent = is_whole_pages(bytes) && system::discard(words.as_ptr().expose_provenance(), bytes);
    if is_lent {
        MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    }
    is_lent
}

/// Counts what was lent back as ours again. False: that would exceed the cap.
pub(crate) fn take_back(words: &'static [AtomicU64]) -> bool {
    take(&MAPPED_BYTES, size_of_val(words), limits::memory_bytes())
}

/// Begins with no memory: what the parent had is left alone, and no longer counts.
pub(crate) fn begin_anew(_: &Alone) {
    STACKS_CHUNK.store(None);
    LIVE_CHUNK.store(None);
    STACKS_BYTES.store(0, Relaxed);
    MAPPED_BYTES.store(0, Relaxed);
}

/// Zeroes `bytes`, a static of ours, without touching pages of it that never were.
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
    // SAFETY: a hint, which never faults; the instruction is part of the base architecture.
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

#[cfg(unix)]
mod system {
    use super::PAGE_BYTES;
    use crate::c_library;
    use std::ptr;

    pub(super) fn map_zeroed(bytes: usize) -> Option<usize> {
        // SAFETY: a private anonymous mapping at an address of the system's choice touches nobody's memory.
        let start = c_library::keeping_errno(|| unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        });
        // mutant: C5 no memory is a crash
        // mutant: A14 no memory is a crash
        (start != libc::MAP_FAILED).then(|| start.expose_provenance())
    }

    pub(super) fn unmap(start: usize, bytes: usize) {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: a whole mapping of ours, of which nobody else knows.
        let _ = c_library::keeping_errno(|| unsafe { libc::munmap(start, bytes) });
    }

    /// Only Linux promises that discarded anonymous pages read as zero.
    #[cfg(target_os = "linux")]
    pub(super) fn discard(start: usize, bytes: usize) -> bool {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: whole pages of a private anonymous mapping of ours, or of a static's that no file is behind, which
        // hold nothing that is used: atomics, for which zero is a value, read at most by a look that will be
        // repeated.
        c_library::keeping_errno(|| unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) == 0 })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn discard(_start: usize, _bytes: usize) -> bool {
        false
    }

    #[cfg(target_os = "linux")]
    pub(super) fn keep_pages_small(start: usize, bytes: usize) {
        let first_page = start.next_multiple_of(PAGE_BYTES);
        let bytes = bytes.saturating_sub(first_page.saturating_sub(start));
        let first_page = ptr::with_exposed_provenance_mut(first_page);
        // SAFETY: advice on pages of our own static; refused advice changes nothing.
        let _ =
            c_library::keeping_errno(|| unsafe { libc::madvise(first_page, bytes, libc::MADV_NOHUGEPAGE) });
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn keep_pages_small(_start: usize, _bytes: usize) {
        let _ = PAGE_BYTES;
    }
}

#[cfg(not(unix))]
mod system {
    use std::alloc::{GlobalAlloc, Layout, System};

    pub(super) fn map_zeroed(bytes: usize) -> Option<usize> {
        let layout = Layout::from_size_align(bytes, super::PAGE_BYTES).ok()?;
        // SAFETY: `bytes` is never zero here; `System` is below the allocator that we wrap.
        let start = unsafe { System.alloc_zeroed(layout) };
        (!start.is_null()).then(|| start.expose_provenance())
    }

    pub(super) fn unmap(start: usize, bytes: usize) {
        if let Ok(layout) = Layout::from_size_align(bytes, super::PAGE_BYTES) {
            // SAFETY: what `map_zeroed` returned for as many bytes, of which nobody else knows.
            unsafe { System.dealloc(std::ptr::with_exposed_provenance_mut(start), layout) };
        }
    }

    pub(super) fn keep_pages_small(_start: usize, _bytes: usize) {}

    pub(super) fn discard(_start: usize, _bytes: usize) -> bool {
        false
    }
}

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

    /// Stores `new` if the current value is `current`; else returns the current one.
    pub(crate) fn replace(
        &self,
        current: Option<&'static T>,
        new: &'static T,
    ) -> Result<(), Option<&'static T>> {
        match self.pointer.compare_exchange(as_pointer(current), as_pointer(Some(new)), AcqRel, Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: as in `load`.
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
    use std::sync::Barrier;
    use std::thread;

    /// What several threads are handed at a time, across many chunks, is each one's alone.
    #[test]
    fn nobody_else_has_a_piece() {
        static START: Barrier = Barrier::new(4);
        let pieces_of = |thread: u64| {
            // As much at the same time as can be: only then two may be handed the same.
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
