//! The profile is copied out of the tables here.
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use super::{AgeTotals, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace};
use crate::estimate::sums::Sums;
use crate::estimate::totals::{Births, Totals};
use crate::memory::limits;
use crate::process::c_library;
use crate::sampling::{interval, labels};
use crate::tables::live::LiveSample;
use crate::tables::{allocated, drops, live, stacks};
use crate::{control, memory, unsampled};

/// How many snapshots have begun. Each sample notes it when it is taken, which tells without a clock whether it was
/// there before a snapshot, however soon the two came one after the other.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// The number of the last snapshot that has begun; 0: none yet.
#[inline(always)]
pub(crate) fn begun() -> u32 {
    BEGUN.load(Relaxed)
}

/// Numbers a snapshot. A record has a number of more than 31 bits only if a measurement counts its block.
fn next_number() -> u32 {
    let next = |number: u32| number.wrapping_add(1) & i32::MAX as u32;
    next(BEGUN.fetch_update(Relaxed, Relaxed, |number| Some(next(number))).unwrap_or_default())
}

/// The profile, with ages if they are wanted.
pub(super) fn copy(with_ages: bool) -> Snapshot {
    control::prepare();
    unsampled(|| {
        let number = next_number();
        let (taken_at, taken_at_monotonic) = (SystemTime::now(), Instant::now());
        // Live samples are copied first. Each was added to its site's totals before it was added to the live table, so no
        // stack can have more in use than allocated.
        let live = copy_live(with_ages);
        let (stacks, overflow) = copy_stacks(live.in_use, live.ages);
        Snapshot {
            number,
            taken_at,
            taken_at_monotonic,
            duration: None,
            sampling_interval: interval::sampling_interval(),
            stacks,
            overflow,
            dropped: drops::dropped(),
            own_memory: OwnMemory {
                mapped_bytes: memory::mapped_bytes().saturating_add(unwinder::held_bytes()) as u64,
                limit_bytes: limits::memory_bytes() as u64,
                stacks: stacks::len() as u64,
                live_samples: live.samples,
            },
        }
    })
}

/// Returns the totals of all stacks together, as they are kept beside the live samples.
pub(super) fn totals() -> Option<Totals> {
    control::prepare();
    unsampled(|| {
        let mut totals = live::totals()?;
        totals += allocated::UNSEEN.totals();
        Some(totals)
    })
}

/// The live table tells this of each site.
struct Live {
    /// It holds what is in use, by the id of its site.
    in_use: Vec<InUse>,
    ages: HashMap<u32, Vec<AgeTotals>>,
    /// How many samples there are.
    samples: u64,
}

fn copy_live(with_ages: bool) -> Live {
    let mut in_use = vec![InUse::default(); stacks::site_id_bound()];
    let mut count = 0;
    let mut aged = Vec::new();
    live::for_each_shard(|samples| {
        count += samples.len() as u64;
        for sample in samples {
            let site = sample.site_id as usize;
            if site >= in_use.len() {
                in_use.resize(site + 1, InUse::default());
            }
            in_use[site].add(sample);
        }
        if with_ages {
            aged.extend(samples);
        }
    });
    Live { in_use, ages: ages_by_site(&mut aged), samples: count }
}

/// Copies all stacks, and what overflowed.
fn copy_stacks(
    mut in_use: Vec<InUse>,
    mut ages: HashMap<u32, Vec<AgeTotals>>,
) -> (Vec<StackTotals>, Vec<SizeTotals>) {
    let mut stacks = Vec::with_capacity(stacks::len());
    let mut overflow = Vec::new();
    let mut current: Option<&'static stacks::Stack> = None;
    stacks::for_each(|stack, site| {
        let in_use = in_use.get_mut(site.id() as usize).map(std::mem::take).unwrap_or_default();
        let (label, is_by_c) = labels::parts(site.label);
        let size = SizeTotals {
            size_class: site.size_class,
            label,
            is_by_c,
            totals: in_use.totals(site.allocated()),
            births: in_use.births(),
            ages: ages.remove(&site.id()).unwrap_or_default(),
        };
        let Some(stack) = stack else { return overflow.push(size) };
        if !current.is_some_and(|current| std::ptr::eq(current, stack)) {
            current = Some(stack);
            let frames = stack.frames.iter().rev().copied().collect();
            let trace = StackTrace { frames, is_truncated: stack.is_truncated };
            stacks.push(StackTotals { id: stack.id, trace, by_size: Vec::with_capacity(1) });
        }
        stacks.last_mut().expect("pushed with its first site").by_size.push(size);
    });
    for stack in &mut stacks {
        stack.by_size.sort_unstable_by_key(|size| (size.size_class, size.label, size.is_by_c));
        // Most stacks have one size. Whoever waits for a difference holds this, and room for four sizes would be half of it.
        stack.by_size.shrink_to_fit();
    }
    (stacks, overflow)
}

/// Returns the ages of live samples, by site.
fn ages_by_site(samples: &mut [LiveSample]) -> HashMap<u32, Vec<AgeTotals>> {
    let now = c_library::ticks();
    by_site(
        samples,
        |sample| ticks_since(sample, now),
        |ticks, same| {
            let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = same;
            AgeTotals {
                age: of_ticks(ticks),
                objects: inuse_objects,
                bytes: inuse_bytes,
                samples: inuse_samples,
                objects_variance: same.inuse_objects_variance,
                bytes_variance: same.inuse_bytes_variance,
            }
        },
    )
}

/// Returns how many ticks before `now` a sample was taken. One that was recorded after `now` was read has the age 0.
fn ticks_since(sample: &LiveSample, now: u32) -> u32 {
    (now.wrapping_sub(sample.born) as i32).max(0) as u32
}

fn of_ticks(ticks: u32) -> Duration {
    Duration::from_secs(1) * ticks / c_library::TICKS_PER_SECOND
}

/// Returns how old a sample is at `now`, a time in ticks.
pub(super) fn age(sample: &LiveSample, now: u32) -> Duration {
    of_ticks(ticks_since(sample, now))
}

/// Sums up the samples of each site that have the same key, by ascending key.
fn by_site<T>(
    samples: &mut [LiveSample],
    key: impl Fn(&LiveSample) -> u32,
    sum: impl Fn(u32, Totals) -> T,
) -> HashMap<u32, Vec<T>> {
    samples.sort_unstable_by_key(|sample| u64::from(sample.site_id) << 32 | u64::from(key(sample)));
    let mut by_site = HashMap::new();
    for site in samples.chunk_by(|a, b| a.site_id == b.site_id) {
        let sums = site.chunk_by(|a, b| key(a) == key(b)).map(|same| {
            let mut sums = Sums::default();
            same.iter().for_each(|sample| sums.add(sample.size, sample.weight));
            sum(key(&same[0]), sums.in_use())
        });
        let mut sums: Vec<T> = sums.collect();
        sums.shrink_to_fit();
        by_site.insert(site[0].site_id, sums);
    }
    by_site
}

/// This is what is in use of one site.
#[derive(Clone, Default)]
struct InUse {
    certain: Sums,
    /// The uncertain samples, by the last snapshot that had begun before they were taken, in ascending order.
    by_birth: Vec<(u32, Sums)>,
}

impl InUse {
    fn add(&mut self, sample: &LiveSample) {
        if !sample.is_uncertain() {
            return self.certain.add(sample.size, sample.weight);
        }
        let after = sample.after_snapshot;
        let index = match self.by_birth.last() {
            // Most samples were taken after the latest snapshot that is listed, or all after the same one.
            Some((latest, _)) if *latest == after => self.by_birth.len() - 1,
            _ => self.by_birth.binary_search_by_key(&after, |(after, _)| *after).unwrap_or_else(|index| {
                self.by_birth.insert(index, (after, Sums::default()));
                index
            }),
        };
        self.by_birth[index].1.add(sample.size, sample.weight);
    }

    /// Returns the totals, together with what the site ever allocated. The two sums round differently, so what is in use is
    /// capped by what was allocated.
    fn totals(&self, allocated: Totals) -> Totals {
        let mut sums = self.certain;
        self.by_birth.iter().for_each(|(_, of_then)| sums.add_all(of_then));
        let in_use = sums.in_use();
        Totals {
            inuse_objects: in_use.inuse_objects.min(allocated.alloc_objects),
            inuse_bytes: in_use.inuse_bytes.min(allocated.alloc_bytes),
            inuse_samples: in_use.inuse_samples,
            inuse_objects_variance: in_use.inuse_objects_variance.min(allocated.alloc_objects_variance),
            inuse_bytes_variance: in_use.inuse_bytes_variance.min(allocated.alloc_bytes_variance),
            ..allocated
        }
    }

    fn births(&self) -> Vec<Births> {
        let births = self.by_birth.iter().map(|(after_snapshot, sums)| {
            let Totals { inuse_objects_variance, inuse_bytes_variance, .. } = sums.in_use();
            Births {
                after_snapshot: *after_snapshot,
                objects_variance: inuse_objects_variance,
                bytes_variance: inuse_bytes_variance,
            }
        });
        births.collect()
    }
}
