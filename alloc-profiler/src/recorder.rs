//! When a block is sampled, its stack is taken, its site is counted, and its address is recorded. When the block is
//! freed, the record is removed.
//!
//! Nothing here holds a lock while it unwinds, and nothing may panic. The functions are `extern "C"`, so that a panic, if
//! there were one, would abort instead of unwinding through the allocator, which the compiler takes for impossible.
//!
//! Path: *allocation path*, sampled blocks only.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::process::c_library;
use crate::sampling::due::Due;
use crate::sampling::labels::{self, Origin};
use crate::sampling::pause::Pause;
use crate::sampling::{self, interval};
use crate::snapshot;
use crate::tables::live::{self, HomeSlot, LiveSample, Lost, Taken};
use crate::tables::measured::{self, Tag};
use crate::tables::stacks::{self, Site, Stack};
use crate::tables::{allocated, drops, filter};
use unwinder::{Remember, Walk};

/// Whole walks are remembered at sampling intervals up to this. At longer ones, little repeats while it is remembered, and
/// remembering it would cost more memory than it saves time.
const FREQUENT_BYTES: u64 = 16 << 10;

/// Records the block of `size` bytes that was just allocated at `address`, for the reason that it is due. It must be called before
/// anyone else can know the address. `has_room` tells whether enough of the stack is left to take it.
#[inline(always)]
pub(crate) fn observe(address: usize, size: usize, due: Due, has_room: bool, origin: Origin) {
    match (due, has_room) {
        (Due::Sampled(weight), true) => record(address, size, weight, origin),
        (Due::Sampled(weight), false) => record_without_stack(address, size, weight, origin),
        (Due::Measured, true) => record_measured(address, size, origin),
        (Due::Measured, false) => record_measured_without_stack(address, size, origin),
    }
}

/// Records the block of `size` bytes at `address`, which stands for `weight` objects.
#[cold]
#[inline(never)]
extern "C" fn record(address: usize, size: usize, weight: f64, origin: Origin) {
    // mutant: A2 recording is not paused
    // What the unwinder allocates is not the program's.
    let _pause = Pause::begin();
    let home = HomeSlot::of(address);
    home.prefetch();
    let is_frequent = interval::in_force() <= FREQUENT_BYTES;
    let remember = if is_frequent { Remember::WholeWalks } else { Remember::LastWalk };
    let site = stacks::site(stack(remember), size, labels::present(origin));
    count(home, address, size, weight, site, snapshot::begun());
}

/// Records the block as [`record`] does, with certainty, and has the measurements of the calling thread count it.
#[cold]
#[inline(never)]
extern "C" fn record_measured(address: usize, size: usize, origin: Origin) {
    let _pause = Pause::begin();
    count_measured(address, size, stack(Remember::WholeWalks), origin);
}

/// Returns the stack of the calling thread as it is kept, or `None` if there is no room for it.
#[inline(always)]
fn stack(remember: Remember) -> Option<&'static Stack> {
    let mut room = unwinder::room();
    // mutant: A1 the loader is asked under a lock
    let walk = unwinder::capture(&mut room, remember);
    match walk.met() {
        Some(cookie) => Some(stacks::of_cookie(cookie)),
        None => {
            count_losses(&walk);
            stacks::find_or_add(walk)
        }
    }
}

/// Counts what is missing of a stack.
#[inline(always)]
fn count_losses(walk: &Walk<'_>) {
    if walk.is_truncated() {
        // mutant: B8 cut stacks are not told
        drops::TRUNCATED_STACKS.raise();
    }
    if walk.frames().is_empty() {
        drops::NO_STACK.raise();
    } else if walk.is_cut() {
        // mutant: D5 stacks that end early are not counted
        drops::CUT_STACKS.raise();
    }
}

/// Records as [`record`] does, where too little of the stack is left to find out what is on it. Its own frame has some
/// hundred bytes.
#[cold]
#[inline(never)]
extern "C" fn record_without_stack(address: usize, size: usize, weight: f64, origin: Origin) {
    let _pause = Pause::begin();
    // mutant: B8 samples without a stack are not told
    drops::LOW_STACK.raise();
    let site = stacks::site(stacks::no_stack(), size, labels::present(origin));
    count(HomeSlot::of(address), address, size, weight, site, snapshot::begun());
}

/// Records as [`record_measured`] does, where too little of the stack is left.
#[cold]
#[inline(never)]
extern "C" fn record_measured_without_stack(address: usize, size: usize, origin: Origin) {
    let _pause = Pause::begin();
    drops::LOW_STACK.raise();
    count_measured(address, size, stacks::no_stack(), origin);
}

#[inline(always)]
fn count_measured(address: usize, size: usize, stack: Option<&'static Stack>, origin: Origin) {
    let tag = measured::allocated(sampling::measured::slot(), size, stack.map(Stack::for_measurements));
    let site = stacks::site(stack, size, labels::present(origin));
    let bits = tag.map_or_else(snapshot::begun, Tag::bits);
    let is_inserted = count(HomeSlot::of(address), address, size, 1.0, site, bits);
    if let (false, Some(tag)) = (is_inserted, tag) {
        measured::untracked(tag);
    }
}

/// Counts a sampled block at its site, and keeps its record. Returns whether there was room for the record. `after_snapshot` is
/// what the record has of that name.
#[inline(always)]
fn count(home: HomeSlot, address: usize, size: usize, weight: f64, site: &Site, after_snapshot: u32) -> bool {
    static IS_PREPARED: AtomicBool = AtomicBool::new(false);
    if !IS_PREPARED.load(Relaxed) && !IS_PREPARED.swap(true, Relaxed) {
        filter::prepare();
    }
    // The weight is rounded as the live table keeps it. What is in use is summed up from there, and must never be more than
    // what was allocated. This changes an estimate by some 10^-8 of itself.
    let weight = f64::from(weight as f32);
    site.add(size, weight);
    let sample =
        LiveSample { address, size, weight, site_id: site.id(), born: c_library::ticks(), after_snapshot };
    let inserted = home.insert(&sample);
    if inserted == Err(Lost::Busy) {
        allocated::UNSEEN.add(size, weight);
    }
    count_lost(inserted);
    inserted.is_ok()
}

/// Removes the record of the block at `address`, if it has one. It must be called while the block is still the caller's.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn forget(address: usize) {
    if measured::is_any() {
        let _ = take(address);
        return;
    }
    // mutant: A5 a panic can be reached
    // mutant: A3 frees are not noticed
    live::remove(address);
}

/// Removes the record as [`forget`] does, and returns it for [`remember`].
#[cold]
#[inline(never)]
#[expect(improper_ctypes_definitions, reason = "extern \"C\" for its abort on panic; called from Rust alone")]
pub(crate) extern "C" fn take(address: usize) -> Option<Taken> {
    let taken = live::take(address);
    if measured::is_any()
        && let Some(taken) = &taken
    {
        match taken.sample {
            Some(sample) => for_measurements(&sample, measured::freed),
            None => measured::unknown_freed(),
        }
    }
    taken
}

/// Calls `count` if measurements count the block.
fn for_measurements(sample: &LiveSample, count: impl Fn(Tag, usize)) {
    if let Some(tag) = Tag::of(sample) {
        count(tag, sample.size);
    }
}

/// Puts back what [`take`] returned, because the block was not freed after all.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn remember(taken: &Taken) {
    let put_back = live::put_back(taken);
    count_lost(put_back);
    if let Some(sample) = taken.sample.filter(|_| measured::is_any()) {
        for_measurements(&sample, measured::kept);
        if put_back.is_err() {
            for_measurements(&sample, |tag, _| measured::untracked(tag));
        }
    }
}

#[inline(always)]
fn count_lost(result: Result<(), Lost>) {
    match result {
        Ok(()) => {}
        Err(Lost::Full) => drops::LIVE_FULL.raise(),
        // mutant: B8 samples lost to a busy lock are not told
        Err(Lost::Busy) => drops::LIVE_BUSY.raise(),
    }
}
