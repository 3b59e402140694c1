//! Waits and wakes that were sampled, summed up by their stacks.
//!
//! A stack is written once, by whoever finds a free place for it, and then only added to. So nobody waits for anybody.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};

use unwinder::{CodeAddress, MAX_STACK_DEPTH, Remember, hash};

use super::kind::Kind;
use super::log;
use super::mapping::{map_zeroed, unmap};
use super::sums::{AtomicSums, weigh};
use crate::{LockSamples, LockStack, LockSums, LockWord};

/// Different stacks that are kept, in a little more than 4 MiB, of which the system backs what is used.
const STACKS: usize = 4096;
/// How many places are tried for a stack.
const TRIES: usize = 64;

const FREE: u64 = 0;
const TAKEN: u64 = 1;

/// What sets an event apart, beside its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    kind: Kind,
    word: LockWord,
    label: u32,
    is_truncated: bool,
}

/// Holds one stack, or none.
#[repr(C)]
struct Place {
    /// `FREE`, `TAKEN` while it is written, and then the hash of what it holds.
    hash: AtomicU64,
    sums: AtomicSums,
    head: UnsafeCell<MaybeUninit<(Key, usize)>>,
    frames: UnsafeCell<[MaybeUninit<CodeAddress>; MAX_STACK_DEPTH]>,
}

/// Zeroed memory is a table without stacks.
#[repr(C)]
struct Table {
    places: [Place; STACKS],
    overflow: [AtomicSums; 2],
}

// SAFETY: what is in a cell is written by whoever has changed the hash from `FREE` to `TAKEN`, and only read when that has stored another
// hash.
unsafe impl Sync for Table {}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());

/// Maps the table, unless it is there. It is never unmapped.
pub(super) fn map() -> io::Result<()> {
    if !TABLE.load(Acquire).is_null() {
        return Ok(());
    }
    let table = map_zeroed::<Table>()?;
    if TABLE.compare_exchange(ptr::null_mut(), table, AcqRel, Acquire).is_err() {
        // SAFETY: nobody knows of this mapping; another thread was quicker.
        unsafe { unmap(table) };
    }
    Ok(())
}

fn table() -> Option<&'static Table> {
    // SAFETY: what is stored there is a table, which stays as long as the process.
    unsafe { TABLE.load(Acquire).as_ref() }
}

/// Notes an event of so many nanoseconds, if it is sampled.
#[inline(always)]
pub(super) fn note(kind: Kind, word: LockWord, nanoseconds: u64, rate: u64) {
    if let Some(sums) = weigh(nanoseconds, rate, uniform()) {
        record(kind, word, nanoseconds, sums);
    }
}

/// A random number in [0, 1). It needs no thread-local, since two threads that draw at once get the next two numbers.
fn uniform() -> f64 {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    let step = STEPS.fetch_add(1, Relaxed);
    // This is SplitMix64, which is made for numbers in a row.
    let mut mixed = step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Takes the stack of the calling thread, and adds to its sums.
#[cold]
#[inline(never)]
fn record(kind: Kind, word: LockWord, nanoseconds: u64, sums: LockSums) {
    let Some(table) = table() else { return };
    if unwinder::has_room().is_none() {
        unwinder::keeping_errno(unwinder::prepare_thread);
    }
    let mut room = unwinder::room();
    let label = unwinder::label::current();
    if unwinder::has_room() == Some(false) {
        let key = Key { kind, word, label, is_truncated: false };
        let place = table.add(key, &[], unwinder::hash_of(&[]), sums);
        return log::note(kind, nanoseconds, place);
    }
    let walk = unwinder::capture(&mut room, Remember::Nothing);
    let key = Key { kind, word, label, is_truncated: walk.is_truncated() };
    let place = table.add(key, walk.frames(), walk.hash(), sums);
    log::note(kind, nanoseconds, place);
}

impl Table {
    /// Adds to the sums of a stack, whose frames come outermost first. Returns the number of its place, if it has one.
    fn add(&self, key: Key, frames: &[CodeAddress], frames_hash: u64, sums: LockSums) -> Option<usize> {
        let of_key = u64::from(key.label) << 16 | (key.word as u64) << 8 | key.kind as u64;
        let hash = hash::add(frames_hash, of_key).max(TAKEN + 1);
        let first = (hash >> 32) as usize;
        for number in (0..TRIES).map(|next| first.wrapping_add(next) % STACKS) {
            let place = self.places.get(number)?;
            let mut found = place.hash.load(Acquire);
            if found == FREE {
                match place.hash.compare_exchange(FREE, TAKEN, Acquire, Acquire) {
                    Ok(_) => {
                        // SAFETY: this thread alone may write the place now.
                        unsafe { place.write(key, frames) };
                        place.hash.store(hash, Release);
                        found = hash;
                    }
                    Err(other) => found = other,
                }
            }
            // SAFETY: the hash is neither `FREE` nor `TAKEN`, so the place was written.
            if found == hash && unsafe { place.read() } == (key, frames) {
                place.sums.add(sums);
                return Some(number);
            }
        }
        self.overflow[key.kind as usize].add(sums);
        None
    }
}

impl Place {
    /// # Safety
    ///
    /// The caller has changed the hash from `FREE` to `TAKEN`.
    unsafe fn write(&self, key: Key, frames: &[CodeAddress]) {
        // SAFETY: the caller's promise: nobody else uses the cells.
        let (head, room) = unsafe { (&mut *self.head.get(), &mut *self.frames.get()) };
        head.write((key, frames.len().min(room.len())));
        for (place, frame) in room.iter_mut().zip(frames) {
            place.write(*frame);
        }
    }

    /// The stack that is here, if there is one, with what was noted of it.
    fn stack(&self) -> Option<(Kind, LockStack)> {
        if matches!(self.hash.load(Acquire), FREE | TAKEN) {
            return None;
        }
        // SAFETY: the hash says that the place was written.
        let (Key { kind, word, label, is_truncated }, frames) = unsafe { self.read() };
        let frames = frames.iter().rev().copied().collect();
        Some((kind, LockStack { frames, is_truncated, label, word, sums: self.sums.get() }))
    }

    /// # Safety
    ///
    /// The place was written, and its hash says so.
    unsafe fn read(&self) -> (Key, &[CodeAddress]) {
        // SAFETY: the caller's promise: both were written, and nobody writes them again.
        unsafe {
            let (key, depth) = (*self.head.get()).assume_init();
            let frames = ptr::slice_from_raw_parts(self.frames.get().cast::<CodeAddress>(), depth);
            (key, &*frames)
        }
    }
}

/// Returns the stack at the place of this number.
pub(super) fn stack(number: usize) -> Option<LockStack> {
    Some(table()?.places.get(number)?.stack()?.1)
}

/// Returns all that was noted.
pub(super) fn all() -> LockSamples {
    let mut samples = LockSamples::default();
    let Some(table) = table() else { return samples };
    for (kind, stack) in table.places.iter().filter_map(Place::stack) {
        match kind {
            Kind::Block => samples.block.push(stack),
            Kind::Mutex => samples.mutex.push(stack),
        }
    }
    [samples.block_overflow, samples.mutex_overflow] = [0, 1].map(|kind| table.overflow[kind].get());
    samples
}

/// Leaves the parent's table alone, which a thread of the parent's may have been writing. What the child measures is in a table of
/// its own, which is mapped when the child asks for it.
pub(super) fn begin_anew() {
    TABLE.store(ptr::null_mut(), Relaxed);
}
