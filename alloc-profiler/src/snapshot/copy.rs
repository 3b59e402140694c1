//! How the profile is copied out of the tables.
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use super::{AgeTotals, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace};
use crate::live::LiveSample;
use crate::totals::{Births, Totals};
use crate::{c_library, control, drops, interval, limits, live, memory, stacks, unsampled, variance};

/// How many snapshots have begun. Each sample notes it when it is taken, which tells without a clock whether it was
/// there before a snapshot, however soon the two came one after the other.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// The number of the last snapshot that has begun; 0: none yet.
#[inline(always)]
pub(crate) fn begun() -> u32 {
    BEGUN.load(Relaxed)
}

/// The profile, with ages if they are wanted.
pub(super) fn copy(with_ages: bool) -> Snapshot {
    control::prepare();
    unsampled(|| {
        let number = BEGUN.fetch_add(1, Relaxed).wrapping_add(1);
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
        let size = SizeTotals {
            size_class: site.size_class,
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
        stack.by_size.sort_unstable_by_key(|size| size.size_class);
        // Most stacks have one size. Whoever waits for a difference holds this, and room for four sizes would be half of it.
        stack.by_size.shrink_to_fit();
    }
    (stacks, overflow)
}

/// Returns the ages of live samples, by site.
fn ages_by_site(samples: &mut [LiveSample]) -> HashMap<u32, Vec<AgeTotals>> {
    let now = c_library::ticks();
    // A sample that was recorded after `now` was read has the age 0.
    let ticks = |sample: &LiveSample| (now.wrapping_sub(sample.born) as i32).max(0) as u32;
    by_site(samples, ticks, |ticks, same| {
        let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = same;
        AgeTotals {
            age: Duration::from_secs(1) * ticks / c_library::TICKS_PER_SECOND,
            objects: inuse_objects,
            bytes: inuse_bytes,
            samples: inuse_samples,
            objects_variance: same.inuse_objects_variance,
            bytes_variance: same.inuse_bytes_variance,
        }
    })
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
            same.iter().for_each(|sample| sums.add(sample));
            sum(key(&same[0]), sums.totals())
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
            return self.certain.add(sample);
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
        self.by_birth[index].1.add(sample);
    }

    /// Returns the totals, together with what the site ever allocated. The two sums round differently, so what is in use is
    /// capped by what was allocated.
    fn totals(&self, allocated: Totals) -> Totals {
        let mut sums = self.certain;
        self.by_birth.iter().for_each(|(_, of_then)| sums.add_all(of_then));
        let in_use = sums.totals();
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
            let Totals { inuse_objects_variance, inuse_bytes_variance, .. } = sums.totals();
            Births {
                after_snapshot: *after_snapshot,
                objects_variance: inuse_objects_variance,
                bytes_variance: inuse_bytes_variance,
            }
        });
        births.collect()
    }
}

/// Sums in units of 2^-32. They are integers, which add up to the same in whatever order the table yields its samples: where
/// nothing changed, two snapshots agree to the bit.
#[derive(Clone, Copy, Default)]
struct Sums {
    objects: u128,
    bytes: u128,
    objects_variance: u128,
    bytes_variance: u128,
    samples: u64,
}

impl Sums {
    const UNITS: f64 = (1_u64 << 32) as f64;

    fn add(&mut self, sample: &LiveSample) {
        let size = sample.size as u128;
        let (objects, bytes) = times(sample.weight, size);
        let mut one = Sums { objects, bytes, samples: 1, ..Sums::default() };
        if sample.is_uncertain() {
            let (objects, bytes) = times(variance::of_objects(sample.weight), size.saturating_mul(size));
            one.objects_variance = objects;
            one.bytes_variance = bytes;
        }
        self.add_all(&one);
    }

    fn add_all(&mut self, other: &Sums) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.objects_variance = self.objects_variance.saturating_add(other.objects_variance);
        self.bytes_variance = self.bytes_variance.saturating_add(other.bytes_variance);
        self.samples += other.samples;
    }

    fn totals(&self) -> Totals {
        let sum = |units: u128| units as f64 / Self::UNITS;
        Totals {
            inuse_objects: sum(self.objects),
            inuse_bytes: sum(self.bytes),
            inuse_samples: self.samples as i64,
            inuse_objects_variance: sum(self.objects_variance),
            inuse_bytes_variance: sum(self.bytes_variance),
            ..Totals::default()
        }
    }
}

/// Returns `value`, and `factor` times it, in units of 2^-32.
#[inline(always)]
fn times(value: f64, factor: u128) -> (u128, u128) {
    let units = value * Sums::UNITS;
    // All but absurd intervals take the first way, which is one multiplication and cannot overflow.
    if units < u64::MAX as f64 && factor <= u128::from(u64::MAX) {
        let units = u128::from(units as u64);
        (units, units * factor)
    } else {
        let units = units as u128;
        (units, units.saturating_mul(factor))
    }
}
