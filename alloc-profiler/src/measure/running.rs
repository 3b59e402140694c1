//! A measurement from its beginning to its end: where it counts, and that nothing is counted where nobody would notice.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::*};

use super::error::CannotMeasure;
use super::measured::Measured;
use crate::sampling::{self, interval};
use crate::tables::measured::{self, DEPTH, MAX_EPOCH, MAX_NUMBER, MAX_SLOT, PROCESS, Slot, Tag};
use crate::tables::{drops, live};
use crate::{control, fork, unsampled};

/// A measurement that runs.
#[derive(Debug)]
pub(super) struct Running {
    place: Place,
    /// How many removals had been missed when it began.
    missed_removals: u64,
    forks: u64,
}

/// Where a measurement counts.
#[derive(Clone, Copy, Debug)]
enum Place {
    Thread { slot: u32, level: usize, number: u32 },
    Process { epoch: u32 },
}

impl Running {
    pub(super) fn begin_of_thread() -> Result<Running, CannotMeasure> {
        Running::proven(|| {
            let slot = match sampling::measured::slot() {
                0 => take_slot()?,
                slot => slot,
            };
            let of_thread = measured::slot(slot).ok_or(CannotMeasure::TooManyThreads)?;
            let number = of_thread.last.load(Relaxed) + 1;
            let level = of_thread.levels.iter().position(|level| !level.is_running());
            let level = level.ok_or(CannotMeasure::TooDeep)?;
            if number > MAX_NUMBER {
                release(of_thread);
                return Err(CannotMeasure::NoNumberLeft);
            }
            if !sampling::measured::begin(slot) {
                release(of_thread);
                return Err(CannotMeasure::Unsampled);
            }
            of_thread.last.store(number, Relaxed);
            of_thread.levels[level].begin(number);
            Ok(Place::Thread { slot, level, number })
        })
    }

    pub(super) fn begin_of_process() -> Result<Running, CannotMeasure> {
        Running::proven(|| {
            if measured::IS_PROCESS_MEASURED.swap(true, Acquire) {
                return Err(CannotMeasure::OfProcessRuns);
            }
            let begun = begin_process();
            if begun.is_err() {
                measured::IS_PROCESS_MEASURED.store(false, Release);
            }
            begun
        })
    }

    /// Begins a measurement, and before the first one a measurement of one allocation, to see whether it is counted.
    fn proven(begin: impl Fn() -> Result<Place, CannotMeasure>) -> Result<Running, CannotMeasure> {
        static IS_PROVEN: AtomicBool = AtomicBool::new(false);
        control::prepare();
        if !IS_PROVEN.load(Relaxed) {
            let proof = Running::new(begin()?);
            drop(black_box(Vec::<u8>::with_capacity(black_box(1))));
            // mutant: E90 without the allocator there are zeros
            if proof.end()?.alloc_objects == 0 {
                return Err(CannotMeasure::NotInstalled);
            }
            IS_PROVEN.store(true, Relaxed);
        }
        Ok(Running::new(begin()?))
    }

    fn new(place: Place) -> Running {
        Running { place, missed_removals: drops::MISSED_REMOVALS.get(), forks: fork::forks() }
    }

    /// Ends the measurement, and returns what it has found.
    pub(super) fn end(self) -> Result<Measured, CannotMeasure> {
        if self.forks != fork::forks() {
            return Err(CannotMeasure::Forked);
        }
        let mut found = match self.place {
            Place::Thread { slot, level, number } => end_of_thread(slot, level, number),
            Place::Process { epoch } => end_of_process(epoch),
        };
        found.untracked_blocks += drops::MISSED_REMOVALS.get() - self.missed_removals;
        Ok(found)
    }
}

fn begin_process() -> Result<Place, CannotMeasure> {
    let epoch = match measured::LAST_EPOCH.load(Relaxed) + 1 {
        epoch if epoch <= MAX_EPOCH => epoch,
        _ if is_any_block(|tag| tag.epoch() != 0) => return Err(CannotMeasure::NoNumberLeft),
        _ => 1,
    };
    let slot = sampling::measured::slot();
    if !sampling::measured::begin(slot) {
        return Err(CannotMeasure::Unsampled);
    }
    measured::LAST_EPOCH.store(epoch, Relaxed);
    measured::LATE_THREADS.store(0, Relaxed);
    PROCESS.begin(epoch);
    interval::measure_all(true);
    Ok(Place::Process { epoch })
}

fn end_of_process(epoch: u32) -> Measured {
    interval::measure_all(false);
    let figures = PROCESS.end();
    if sampling::measured::slot() == 0 {
        sampling::measured::end();
    }
    let late_threads = measured::LATE_THREADS.load(Relaxed);
    let found = unsampled(|| {
        let stacks = |visit: &mut dyn FnMut(_, _)| measured::for_each_stack_of_process(visit);
        Measured::of(figures, stacks, |tag| tag.epoch() == epoch)
    });
    measured::IS_PROCESS_MEASURED.store(false, Release);
    Measured { late_threads, ..found }
}

fn end_of_thread(slot: u32, level: usize, number: u32) -> Measured {
    let Some(of_thread) = measured::slot(slot) else { return Measured::default() };
    let figures = of_thread.levels[level].end();
    let is_last = !of_thread.levels.iter().any(|level| level.is_running());
    if is_last {
        sampling::measured::end();
    }
    let found = unsampled(|| {
        let stacks = |visit: &mut dyn FnMut(_, _)| measured::for_each_stack_of(slot, level, visit);
        Measured::of(figures, stacks, |tag| tag.slot() == slot && tag.number() >= number)
    });
    release(of_thread);
    found
}

/// Gives a slot back in which no measurement runs.
fn release(slot: &Slot) {
    if !slot.levels.iter().any(|level| level.is_running()) {
        slot.is_taken.store(false, Release);
    }
}

/// Takes a slot in which numbers are left.
fn take_slot() -> Result<u32, CannotMeasure> {
    let mut are_numbers_used_up = false;
    for number in 1..=MAX_SLOT {
        let Some(slot) = measured::slot(number) else { continue };
        if slot.is_taken.load(Relaxed) || slot.is_taken.swap(true, Acquire) {
            continue;
        }
        // The measurements that may begin within this one have numbers too.
        if slot.last.load(Relaxed) + DEPTH as u32 <= MAX_NUMBER {
            return Ok(number);
        }
        if !is_any_block(|tag| tag.slot() == number) {
            slot.last.store(0, Relaxed);
            return Ok(number);
        }
        are_numbers_used_up = true;
        slot.is_taken.store(false, Release);
    }
    Err(if are_numbers_used_up { CannotMeasure::NoNumberLeft } else { CannotMeasure::TooManyThreads })
}

/// Whether any block is in use whose tag `is_wanted`.
fn is_any_block(is_wanted: impl Fn(Tag) -> bool) -> bool {
    unsampled(|| {
        let mut is_any = false;
        live::for_each_shard(|samples| {
            is_any |= samples.iter().any(|sample| Tag::of(sample).is_some_and(&is_wanted));
        });
        is_any
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    /// This program has no such allocator.
    #[test]
    fn without_the_allocator_there_are_no_zeros_but_an_error() {
        for _ in 0..2 {
            let mut is_run = false;
            let refused = measure(|| is_run = true).unwrap_err();
            assert_eq!((refused, is_run), (CannotMeasure::NotInstalled, false));
            assert!(format!("{refused:?}").contains("#[global_allocator]"));
        }
    }
}
