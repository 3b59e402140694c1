//! A frozen copy of the profile: the one type that crosses from the profiler to its readers.
//!
//! Path: *read path*. Plain owned data; nothing here refers to the live tables.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::live::LiveSample;
use crate::{c_library, control, drops, live, memory, stacks, unsampled};

/// What the program has allocated, by stack and size class, at one moment or between two.
///
/// Made by [`snapshot`](crate::snapshot) and [`Snapshot::since`]. All objects and bytes are estimates of the
/// whole program's, already scaled up from the samples; the sample counts beside them say how far to trust
/// them: the relative standard error of a sum is about `1 / sqrt(samples)`. At a sampling interval of 1 they
/// are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When the copy was taken (for a difference: the later one).
    pub taken_at: SystemTime,
    /// The time between the two snapshots of a difference; `None` for a snapshot.
    pub duration: Option<Duration>,
    /// Mean bytes between samples at `taken_at`; 1 = every allocation, 0 = off. Earlier samples may have been
    /// taken at another interval: each was weighed with its own.
    pub sampling_interval: u64,
    /// One entry for each distinct stack, in no particular order.
    pub stacks: Vec<StackTotals>,
    /// What was recorded after the limit on distinct stacks was reached: counted, but no longer kept apart.
    pub overflow: Vec<SizeTotals>,
    /// Samples lost or cut, by reason, since the program started (a difference: in between).
    pub dropped: Dropped,
    /// Memory that the profiler itself holds.
    pub own_memory: OwnMemory,
}

/// All that one stack allocated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackTotals {
    /// The number of the stack: no other has it as long as the process runs, and it is below 2^32 - 1.
    pub id: u32,
    /// Where.
    pub trace: StackTrace,
    /// How much, one entry for each size class seen, ascending.
    pub by_size: Vec<SizeTotals>,
}

/// A call stack, leaf first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackTrace {
    /// Return addresses as found on the stack: each points *after* its call instruction, so subtract one
    /// before looking up the calling line. One in a library that may be unloaded says in its upper 16 bits in which:
    /// see [`libraries`](crate::libraries) and [`untagged`](crate::untagged). Empty if the stack could not be read.
    pub return_addresses: Box<[usize]>,
    /// True if outer frames were left out: the stack was deeper than
    /// [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH).
    pub is_truncated: bool,
}

/// What one stack allocated in one size class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SizeTotals {
    /// Upper bound of the size class in bytes: see [`size_class`](crate::size_class).
    pub size_class: u64,
    /// How much.
    pub totals: Totals,
    /// What is in use, by age, youngest first: their sums are `totals.inuse_*`, but for the last digits. Empty unless
    /// [`snapshot_with_ages`] was asked. Of a difference, the ages of all that is in use at its end.
    pub ages: Vec<AgeTotals>,
}

/// What is in use of one age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgeTotals {
    /// Time since the blocks were allocated, or last moved or resized by `realloc`: in sixteenths of a second, and as
    /// long as the machine was awake.
    pub age: Duration,
    /// Estimated objects.
    pub objects: f64,
    /// Estimated bytes.
    pub bytes: f64,
    /// Samples behind them.
    pub samples: i64,
}

/// Estimated objects and bytes, and the number of samples they rest on.
///
/// In a snapshot nothing is negative, `alloc_*` never falls from one to the next and `inuse_*` is at most
/// `alloc_*`. In a difference `inuse_*` may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Objects ever allocated, freed ones included.
    pub alloc_objects: f64,
    /// Bytes ever allocated, freed ones included.
    pub alloc_bytes: f64,
    /// Samples behind `alloc_*`.
    pub alloc_samples: i64,
    /// Objects allocated and not freed.
    pub inuse_objects: f64,
    /// Bytes allocated and not freed.
    pub inuse_bytes: f64,
    /// Samples behind `inuse_*`.
    pub inuse_samples: i64,
}

/// Samples that were lost or cut short, by reason. All zero in a healthy program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Counted under [`Snapshot::overflow`] because a limit on distinct stacks or on memory was reached. Their
    /// objects and bytes are in the totals.
    pub stacks_full: u64,
    /// Counted in `alloc_*` but missing from `inuse_*`: a limit on live samples or on memory was reached.
    pub live_full: u64,
    /// Counted in `alloc_*` but missing from `inuse_*`: the table's lock could not be had in time.
    pub live_busy: u64,
    /// Freed blocks whose record could not be removed at once nor noted down: their records may linger.
    pub missed_removals: u64,
    /// Counted under the empty stack, because too little of the thread's own was left to find out.
    pub low_stack: u64,
    /// Samples whose stack was deeper than [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH).
    pub truncated_stacks: u64,
    /// Samples whose outermost frames are missing because a function on the way has no unwind tables and no frame pointer
    /// that could be verified.
    pub cut_stacks: u64,
    /// Counted under the empty stack, because not even the first caller could be told.
    pub no_stack: u64,
}

/// Memory that the profiler holds for itself, in bytes. None of it is in the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMemory {
    /// Mapped for stacks, totals and live samples together; at most `limit_bytes`.
    pub mapped_bytes: u64,
    /// The cap: see [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    pub limit_bytes: u64,
    /// Distinct stacks kept.
    pub stacks: u64,
    /// Live samples kept.
    pub live_samples: u64,
}

/// Copies the profile.
///
/// Threads go on allocating meanwhile: only one that samples or frees a sampled block waits, for as long as a
/// 256th of the live samples takes to copy. So the copy is not of one instant; each stack's `inuse_*` is of an
/// instant no later than its `alloc_*`. What this allocates is not in the profile.
///
/// It never waits for long: where a thread was stopped while it held a lock, the copy is made without the lock
/// after a second, and the one record that the thread was moving may be there twice or not at all.
///
/// In a child of `fork` counts start at zero, with no stacks and nothing in use, if its parent had called any
/// function of this crate.
///
/// # Cost
///
/// Time and memory in proportion to stacks and live samples: half a microsecond for each stack, 20 ns for each
/// live sample.
#[must_use]
pub fn snapshot() -> Snapshot {
    copy(None)
}

/// As [`snapshot`], with [`SizeTotals::ages`].
///
/// # Cost
///
/// That of [`snapshot`], and for each live sample 80 ns, and up to 80 bytes while it runs.
#[must_use]
pub fn snapshot_with_ages() -> Snapshot {
    copy(Some(Vec::new()))
}

/// The profile, with ages if there is a list to collect live samples in.
fn copy(mut all_live: Option<Vec<LiveSample>>) -> Snapshot {
    control::prepare();
    unsampled(|| {
        // Live samples first: each was added to its site's totals before it was added to the live table, so no
        // stack can have more in use than allocated.
        let mut in_use = vec![InUse::default(); stacks::site_id_bound()];
        let mut live_samples = 0;
        live::for_each_shard(|samples| {
            live_samples += samples.len() as u64;
            for sample in samples {
                let site = sample.site_id as usize;
                if site >= in_use.len() {
                    in_use.resize(site + 1, InUse::default());
                }
                in_use[site].add(sample);
            }
            if let Some(all) = &mut all_live {
                all.extend(samples);
            }
        });
        let mut ages = all_live.map_or_else(HashMap::new, ages_by_site);

        let mut stacks = Vec::with_capacity(stacks::len());
        let mut overflow = Vec::new();
        let mut current: Option<&'static stacks::Stack> = None;
        stacks::for_each(|stack, site| {
            let in_use = in_use.get(site.id() as usize).copied().unwrap_or_default();
            let size = SizeTotals {
                size_class: site.size_class,
                totals: in_use.totals(site.allocated()),
                ages: ages.remove(&site.id()).unwrap_or_default(),
            };
            let Some(stack) = stack else { return overflow.push(size) };
            if !current.is_some_and(|current| std::ptr::eq(current, stack)) {
                current = Some(stack);
                let return_addresses = stack.return_addresses.iter().rev().copied().collect();
                let trace = StackTrace { return_addresses, is_truncated: stack.is_truncated };
                stacks.push(StackTotals { id: stack.id, trace, by_size: Vec::new() });
            }
            stacks.last_mut().expect("pushed with its first site").by_size.push(size);
        });
        for stack in &mut stacks {
            stack.by_size.sort_unstable_by_key(|size| size.size_class);
        }
        Snapshot {
            taken_at: SystemTime::now(),
            duration: None,
            sampling_interval: control::sampling_interval(),
            stacks,
            overflow,
            dropped: drops::dropped(),
            own_memory: OwnMemory {
                mapped_bytes: memory::mapped_bytes() as u64,
                limit_bytes: memory::limit_bytes() as u64,
                stacks: stacks::len() as u64,
                live_samples,
            },
        }
    })
}

/// The ages of live samples, by site.
fn ages_by_site(mut samples: Vec<LiveSample>) -> HashMap<u32, Vec<AgeTotals>> {
    let now = c_library::ticks();
    // One recorded after `now` was read is as old as that.
    let ticks = |sample: &LiveSample| (now.wrapping_sub(sample.born) as i32).max(0) as u32;
    samples.sort_unstable_by_key(|sample| (sample.site_id, ticks(sample)));
    let mut by_site = HashMap::new();
    for site in samples.chunk_by(|a, b| a.site_id == b.site_id) {
        let ages = site.chunk_by(|a, b| ticks(a) == ticks(b)).map(|same| {
            let mut in_use = InUse::default();
            same.iter().for_each(|sample| in_use.add(sample));
            AgeTotals {
                age: Duration::from_secs(1) * ticks(&same[0]) / c_library::TICKS_PER_SECOND,
                objects: in_use.objects as f64 / InUse::UNITS,
                bytes: in_use.bytes as f64 / InUse::UNITS,
                samples: in_use.samples as i64,
            }
        });
        by_site.insert(site[0].site_id, ages.collect());
    }
    by_site
}

/// What of one site is in use. Sums are in units of 2^-32, since integers add up to the same whatever the order
/// in which the table yields its samples: where nothing changed, two snapshots agree to the bit.
#[derive(Clone, Copy, Default)]
struct InUse {
    objects: u128,
    bytes: u128,
    samples: u64,
}

impl InUse {
    const UNITS: f64 = (1_u64 << 32) as f64;

    fn add(&mut self, sample: &LiveSample) {
        let units = sample.weight * Self::UNITS;
        // All but absurd intervals take the first way: one multiplication, and nothing that could overflow.
        let (objects, bytes) = if units < u64::MAX as f64 {
            let objects = u128::from(units as u64);
            (objects, objects * sample.size as u128)
        } else {
            let objects = units as u128;
            (objects, objects.saturating_mul(sample.size as u128))
        };
        self.objects = self.objects.saturating_add(objects);
        self.bytes = self.bytes.saturating_add(bytes);
        self.samples += 1;
    }

    /// Together with what the site ever allocated. The two sums round differently; never more is in use.
    fn totals(self, (alloc_objects, alloc_bytes, alloc_samples): (f64, f64, u64)) -> Totals {
        Totals {
            alloc_objects,
            alloc_bytes,
            alloc_samples: alloc_samples as i64,
            inuse_objects: (self.objects as f64 / Self::UNITS).min(alloc_objects),
            inuse_bytes: (self.bytes as f64 / Self::UNITS).min(alloc_bytes),
            inuse_samples: self.samples as i64,
        }
    }
}

impl Snapshot {
    /// What changed between `earlier` and `self`: each value of this snapshot minus its earlier one.
    ///
    /// `alloc_*` becomes what was allocated in between, `inuse_*` the net growth, negative where memory
    /// shrank. Stacks on which nothing changed are left out. `duration` is the time between the two by the
    /// system clock, zero if the clock went backwards.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let before: HashMap<&StackTrace, &[SizeTotals]> =
            earlier.stacks.iter().map(|stack| (&stack.trace, &stack.by_size[..])).collect();
        let mut stacks: Vec<StackTotals> = self
            .stacks
            .iter()
            .map(|stack| StackTotals {
                id: stack.id,
                trace: stack.trace.clone(),
                by_size: sizes_since(&stack.by_size, before.get(&stack.trace).copied().unwrap_or(&[])),
            })
            .collect();
        stacks.retain(|stack| !stack.by_size.is_empty());
        Snapshot {
            taken_at: self.taken_at,
            duration: Some(self.taken_at.duration_since(earlier.taken_at).unwrap_or_default()),
            sampling_interval: self.sampling_interval,
            stacks,
            overflow: sizes_since(&self.overflow, &earlier.overflow),
            dropped: self.dropped.since(&earlier.dropped),
            own_memory: self.own_memory,
        }
    }

    /// Counts as in use only what is at least `min_age` old; `alloc_*` stays.
    ///
    /// `self` must be of [`snapshot_with_ages`]: without ages, nothing is old.
    #[must_use]
    pub fn older_than(mut self, min_age: Duration) -> Snapshot {
        for size in self.stacks.iter_mut().flat_map(|stack| &mut stack.by_size).chain(&mut self.overflow) {
            size.ages.retain(|ages| ages.age >= min_age);
            let mut totals = Totals { inuse_objects: 0.0, inuse_bytes: 0.0, inuse_samples: 0, ..size.totals };
            for ages in &size.ages {
                totals.inuse_objects += ages.objects;
                totals.inuse_bytes += ages.bytes;
                totals.inuse_samples += ages.samples;
            }
            size.totals = totals;
        }
        self
    }

    /// The sum over all stacks and size classes, overflow included.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for size in self.stacks.iter().flat_map(|stack| &stack.by_size).chain(&self.overflow) {
            sum += size.totals;
        }
        sum
    }
}

/// `now` minus `before`, by size class; classes without a change are left out. Stacks never lose a class, so
/// every class of `before` is in `now`.
fn sizes_since(now: &[SizeTotals], before: &[SizeTotals]) -> Vec<SizeTotals> {
    now.iter()
        .map(|size| {
            let earlier = before.iter().find(|earlier| earlier.size_class == size.size_class);
            let earlier = earlier.map_or_else(Totals::default, |earlier| earlier.totals);
            SizeTotals { totals: size.totals - earlier, ..size.clone() }
        })
        .filter(|size| size.totals != Totals::default())
        .collect()
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.alloc_objects += other.alloc_objects;
        self.alloc_bytes += other.alloc_bytes;
        self.alloc_samples += other.alloc_samples;
        self.inuse_objects += other.inuse_objects;
        self.inuse_bytes += other.inuse_bytes;
        self.inuse_samples += other.inuse_samples;
    }
}

impl std::ops::Sub for Totals {
    type Output = Totals;

    fn sub(self, other: Totals) -> Totals {
        Totals {
            alloc_objects: self.alloc_objects - other.alloc_objects,
            alloc_bytes: self.alloc_bytes - other.alloc_bytes,
            alloc_samples: self.alloc_samples - other.alloc_samples,
            inuse_objects: self.inuse_objects - other.inuse_objects,
            inuse_bytes: self.inuse_bytes - other.inuse_bytes,
            inuse_samples: self.inuse_samples - other.inuse_samples,
        }
    }
}

impl Dropped {
    /// The counts added since `earlier`.
    fn since(&self, earlier: &Dropped) -> Dropped {
        Dropped {
            stacks_full: self.stacks_full.saturating_sub(earlier.stacks_full),
            live_full: self.live_full.saturating_sub(earlier.live_full),
            live_busy: self.live_busy.saturating_sub(earlier.live_busy),
            missed_removals: self.missed_removals.saturating_sub(earlier.missed_removals),
            low_stack: self.low_stack.saturating_sub(earlier.low_stack),
            truncated_stacks: self.truncated_stacks.saturating_sub(earlier.truncated_stacks),
            cut_stacks: self.cut_stacks.saturating_sub(earlier.cut_stacks),
            no_stack: self.no_stack.saturating_sub(earlier.no_stack),
        }
    }
}
