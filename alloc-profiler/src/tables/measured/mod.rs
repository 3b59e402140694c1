//! Measurements that run, and what they have counted.
//!
//! A thread that is measured has a *slot*, in which its measurements run, each within the one before. Every block that the
//! thread allocates carries a [`Tag`]: the slot and the number of the last measurement that had begun there. So a free, in
//! whatever thread, finds the measurements that count the block: those that run in the slot and have a number that is not
//! higher. Measurements of the process have a place of their own, [`PROCESS`], and a number in the tag of their own.
//!
//! Path: *allocation path*, measured blocks only; [`is_any`] is asked when a sampled block is freed.

mod by_stack;
mod counts;
mod tag;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use crate::memory::AtomicRef;
use crate::process::alone::Alone;
use crate::process::c_library;
use crate::process::sync::{self, Patience, SpinLock};
use by_stack::OF_PROCESS;
pub(crate) use by_stack::{DEPTH, Frames, OfStack};
use counts::Counters;
pub(crate) use counts::{Counts, Figures};
pub(crate) use tag::{MAX_EPOCH, MAX_NUMBER, MAX_SLOT, Tag};

/// For how long the end of a measurement waits for a thread that is just counting for it.
const WAIT_NANOS: u64 = 1_000_000_000;

/// How many measurements run.
static RUNNING: AtomicU32 = AtomicU32::new(0);
/// Numbers all measurements of the process's life.
static SERIAL: AtomicU64 = AtomicU64::new(0);

static SLOTS: [Slot; MAX_SLOT as usize + 1] = [const { Slot::new() }; MAX_SLOT as usize + 1];
/// The measurement of the process counts here.
pub(crate) static PROCESS: Level = Level::new();
/// Whether somebody measures the process.
pub(crate) static IS_PROCESS_MEASURED: AtomicBool = AtomicBool::new(false);
/// How many threads ran before the measurement of the process and have joined it since.
pub(crate) static LATE_THREADS: AtomicU32 = AtomicU32::new(0);
/// How many measurements of the process there were since blocks were last looked through.
pub(crate) static LAST_EPOCH: AtomicU32 = AtomicU32::new(0);
/// Threads that are measured meet a stack for the process's measurement one at a time.
static MEETING: SpinLock<()> = SpinLock::new(());

/// Whether any measurement runs.
#[inline(always)]
pub(crate) fn is_any() -> bool {
    RUNNING.load(Relaxed) != 0
}

/// The measurements of one thread run here.
pub(crate) struct Slot {
    pub(crate) is_taken: AtomicBool,
    /// The number of the last measurement that has begun here.
    pub(crate) last: AtomicU32,
    pub(crate) levels: [Level; DEPTH],
}

/// One measurement runs here, or none.
pub(crate) struct Level {
    /// The number of the measurement in its slot; 0: none runs.
    number: AtomicU32,
    serial: AtomicU64,
    /// How many threads are just counting here.
    visitors: AtomicU32,
    counters: Counters,
    met: AtomicRef<OfStack>,
}

impl Slot {
    const fn new() -> Self {
        Slot {
            is_taken: AtomicBool::new(false),
            last: AtomicU32::new(0),
            levels: [const { Level::new() }; DEPTH],
        }
    }
}

impl Level {
    const fn new() -> Self {
        Level {
            number: AtomicU32::new(0),
            serial: AtomicU64::new(0),
            visitors: AtomicU32::new(0),
            counters: Counters::zero(),
            met: AtomicRef::none(),
        }
    }

    /// Whether a measurement runs here.
    pub(crate) fn is_running(&self) -> bool {
        self.number.load(Relaxed) != 0
    }

    /// Begins the measurement `number`, which is not 0.
    pub(crate) fn begin(&self, number: u32) {
        self.counters.begin_anew();
        self.met.store(None);
        self.serial.store(SERIAL.fetch_add(1, Relaxed).wrapping_add(1), Relaxed);
        RUNNING.fetch_add(1, Relaxed);
        sync::wait_longer(true);
        self.number.store(number, SeqCst);
    }

    /// Ends the measurement, and returns what it has counted.
    pub(crate) fn end(&self) -> Figures {
        self.number.store(0, SeqCst);
        let start = c_library::nanos();
        let mut are_gone = self.visitors.load(SeqCst) == 0;
        while !are_gone && c_library::nanos().wrapping_sub(start) < WAIT_NANOS {
            std::thread::yield_now();
            are_gone = self.visitors.load(SeqCst) == 0;
        }
        if !are_gone {
            // A thread was stopped while it counted.
            self.counters.untracked();
        }
        RUNNING.fetch_sub(1, Relaxed);
        sync::wait_longer(false);
        self.counters.figures()
    }

    /// Runs `work` with the number of the measurement that runs here, or with 0. The measurement does not end meanwhile.
    fn visit(&self, work: impl FnOnce(u32)) {
        // Both this and the end of a measurement write first and look at the other's word afterwards, so one of them sees
        // the other.
        self.visitors.fetch_add(1, SeqCst);
        work(self.number.load(SeqCst));
        self.visitors.fetch_sub(1, SeqCst);
    }

    /// Counts a block that was allocated on a stack, as the level with this index.
    fn allocated(&self, index: usize, size: u64, of_stack: Option<&'static OfStack>) {
        self.counters.allocated(size);
        let serial = self.serial.load(Relaxed);
        let Some(of_stack) = of_stack.filter(|of_stack| !of_stack.was_met(index, serial)) else { return };
        if index != OF_PROCESS {
            return of_stack.meet(index, serial, &self.met);
        }
        // Another thread may meet it as well. Without the lock, the stack stays out of the list until the next time.
        if let Some(_guard) = MEETING.try_lock(Patience::Bounded)
            && !of_stack.was_met(index, serial)
        {
            of_stack.meet(index, serial, &self.met);
        }
    }

    /// Calls `visit` with each stack that the measurement which has just ended has met.
    fn for_each_stack(&self, level: usize, visit: impl FnMut(Frames, Counts)) {
        OfStack::for_each_met(self.met.load(), level, visit);
    }
}

/// Returns the slot `number`, which is never 0 for a thread's own.
pub(crate) fn slot(number: u32) -> Option<&'static Slot> {
    SLOTS.get(number as usize)
}

/// Calls `visit` with each stack that the measurement at `level` of a slot has met, once it has ended.
pub(crate) fn for_each_stack_of(slot: u32, level: usize, visit: impl FnMut(Frames, Counts)) {
    if let Some(of_thread) = self::slot(slot).and_then(|slot| slot.levels.get(level)) {
        of_thread.for_each_stack(level, visit);
    }
}

/// Calls `visit` with each stack that the measurement of the process has met, once it has ended.
pub(crate) fn for_each_stack_of_process(visit: impl FnMut(Frames, Counts)) {
    PROCESS.for_each_stack(OF_PROCESS, visit);
}

/// Counts a block of `size` bytes that a thread has allocated whose measurements are in `slot`, on a stack whose entries are
/// in `list`. It returns what the record of the block is to carry.
pub(crate) fn allocated(
    slot: u32,
    size: usize,
    stack: Option<(&'static AtomicRef<OfStack>, Frames)>,
) -> Option<Tag> {
    let size = size as u64;
    let of_thread = self::slot(slot)?;
    let of_stack = stack.and_then(|(list, frames)| OfStack::in_list(list, slot, frames));
    for (index, level) in of_thread.levels.iter().enumerate().filter(|(_, level)| level.is_running()) {
        level.allocated(index, size, of_stack);
    }
    let mut epoch = 0;
    PROCESS.visit(|number| {
        epoch = number;
        if epoch != 0 {
            PROCESS.allocated(OF_PROCESS, size, of_stack);
        }
        // An entry counts after whoever counts on it has met it.
        of_stack.inspect(|of_stack| of_stack.add(size));
    });
    Some(Tag::new(slot, epoch, of_thread.last.load(Relaxed)))
}

/// Counts the free of a block of `size` bytes, which is about to be freed.
pub(crate) fn freed(tag: Tag, size: usize) {
    // mutant: E90 frees are not counted
    for_each_counting(tag, |counters| counters.freed(size as u64));
}

/// Takes back what [`freed`] counted, since the block was not freed after all.
pub(crate) fn kept(tag: Tag, size: usize) {
    for_each_counting(tag, |counters| counters.kept(size as u64));
}

/// Tells the measurements that count the block with `tag` that its free will not be noticed.
pub(crate) fn untracked(tag: Tag) {
    for_each_counting(tag, Counters::untracked);
}

/// Tells all measurements that a block was freed of which it is not known whether they count it.
pub(crate) fn unknown_freed() {
    let levels = SLOTS.iter().flat_map(|slot| &slot.levels).chain([&PROCESS]);
    levels.filter(|level| level.is_running()).for_each(|level| level.counters.untracked());
}

/// Calls `count` with the counters of each measurement that counts the block with `tag`.
fn for_each_counting(tag: Tag, count: impl Fn(&Counters)) {
    for level in slot(tag.slot()).into_iter().flat_map(|slot| &slot.levels) {
        level.visit(|number| {
            // mutant: E90 what was there before is counted
            if number != 0 && number <= tag.number() {
                count(&level.counters);
            }
        });
    }
    PROCESS.visit(|epoch| {
        if epoch != 0 && epoch == tag.epoch() {
            count(&PROCESS.counters);
        }
    });
}

/// Has the child of a fork begin without measurements.
pub(crate) fn begin_anew(alone: &Alone) {
    let end = |level: &Level| {
        level.number.store(0, Relaxed);
        level.visitors.store(0, Relaxed);
    };
    for slot in &SLOTS {
        slot.levels.iter().for_each(end);
        slot.is_taken.store(false, Relaxed);
        slot.last.store(0, Relaxed);
    }
    end(&PROCESS);
    drop(MEETING.seize(alone));
    IS_PROCESS_MEASURED.store(false, Relaxed);
    LAST_EPOCH.store(0, Relaxed);
    for _ in 0..RUNNING.swap(0, Relaxed) {
        sync::wait_longer(false);
    }
}
