//! The error that is shown with an estimate against the truth: in 1000 streams of allocations, each with a seed of its own,
//! the truth lies within one standard error of the estimate in 68 ± 5 of 100, and within two in 95 ± 3.
//!
//! Each stream allocates blocks of nine kinds, from 16 bytes to 64 MiB, each on a stack of its own and at an interval of
//! its own, so that the interval changes all the time. Of each it keeps some, frees some of these later, and allocates
//! others. Checked are what is in use, its change between two snapshots, and what was allocated in between; in bytes and
//! objects; for each stack and for all together.
//!
//! A right error has shares of 0.683 and 0.954 where estimates are normally distributed. Over 1000 streams such a share
//! varies by 0.015 and 0.007, so bounds of 0.05 and 0.03 are exceeded by chance once in 1500 and 50 000 looks. There are
//! 55 of each. Seeds are fixed, so an outcome repeats. (Without optimization there are fewer streams, and bounds as much
//! wider as chance is.)
//!
//! Left out are the numbers of objects where most are so small that next to none of them is sampled: what nobody saw has no
//! error that could be told. docs/sampling.md says so.

use alloc_profiler::internal::literal;
use std::alloc::{Layout, alloc, dealloc};
use std::array;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use alloc_profiler::{
    CodeAddress, DEFAULT_SAMPLING_INTERVAL, SamplingAllocator, SizeTotals, Snapshot, Totals,
    set_sampling_interval, snapshot, testing, unsampled,
};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const STREAMS: u64 = 1000;

/// Under a sanitizer there is one: what it finds, it finds in the first. Without optimization there are fewer, because
/// each takes longer.
fn streams() -> u64 {
    match std::env::var_os("SANITIZER") {
        Some(_) => 1,
        None if cfg!(debug_assertions) => STREAMS / 8,
        None => STREAMS,
    }
}

/// Blocks of one kind.
struct Kind {
    name: &'static str,
    /// The smallest and the largest size; in between, sizes are as likely in each doubling.
    bytes: [usize; 2],
    interval: u64,
    /// How many are allocated before the first snapshot, and again before the second.
    count: usize,
}

const fn kind(name: &'static str, bytes: [usize; 2], interval: u64, count: usize) -> Kind {
    Kind { name, bytes, interval, count }
}

const KINDS: [Kind; 9] = [
    kind("16 B", [16; 2], 320, 1600),
    kind("100 B to 1 kB", [100, 1000], 8000, 1500),
    kind("4 KiB", [4096; 2], 80 << 10, 1500),
    kind("64 KiB", [64 << 10; 2], 512 << 10, 600),
    kind("1 MiB", [1 << 20; 2], 512 << 10, 150),
    kind("4 MiB", [4 << 20; 2], 3 << 20, 100),
    kind("64 MiB", [64 << 20; 2], 80 << 20, 80),
    kind("16 B to 64 MiB", [16, 64 << 20], 512 << 10, 400),
    // This kind is sampled with certainty.
    kind("64 MiB at the default interval", [64 << 20; 2], 512 << 10, 3),
];

/// A generator of its own: what chooses samples is the profiler's.
struct Random(u64);

impl Random {
    /// Returns a number from 0 to 1, by the splitmix generator.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) as f64 / 2.0_f64.powi(64)
    }

    fn size(&mut self, [smallest, largest]: [usize; 2]) -> usize {
        let ratio = largest as f64 / smallest as f64;
        ((smallest as f64 * ratio.powf(self.unit())) as usize).clamp(smallest, largest)
    }
}

struct Block(*mut u8, Layout);

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `allocate` got it with this layout, and it is freed once.
        unsafe { dealloc(self.0, self.1) }
    }
}

/// Allocates a block. Each kind has a function of its own, and so a stack.
#[inline(never)]
fn allocate<const KIND: usize>(bytes: usize) -> Block {
    let layout = Layout::from_size_align(bytes, 8).expect("of moderate size");
    // SAFETY: the size is not 0.
    let block = unsafe { alloc(layout) };
    assert!(!block.is_null(), "{bytes} bytes of address space, never touched");
    // So that the functions are not one, and the call above no tail call.
    std::hint::black_box(KIND);
    std::hint::black_box(Block(block, layout))
}

const FUNCTIONS: [fn(usize) -> Block; 9] = [
    allocate::<0>,
    allocate::<1>,
    allocate::<2>,
    allocate::<3>,
    allocate::<4>,
    allocate::<5>,
    allocate::<6>,
    allocate::<7>,
    allocate::<8>,
];

/// The truth about one kind, as it is at one moment.
#[derive(Clone, Copy, Default)]
struct Truth {
    inuse: [f64; 2],
    allocated: [f64; 2],
}

/// Blocks in use and the truth of each kind.
#[derive(Default)]
struct Program {
    kept: [Vec<Block>; KINDS.len()],
    truth: [Truth; KINDS.len()],
}

impl Program {
    /// Frees a third of what is kept of each kind, and allocates some more of it: `counts[kind]`.
    fn step(&mut self, random: &mut Random, counts: [usize; KINDS.len()]) {
        for (index, kind) in KINDS.iter().enumerate() {
            set_sampling_interval(kind.interval);
            let truth = &mut self.truth[index];
            self.kept[index].retain(|block| {
                let is_kept = random.unit() > 1.0 / 3.0;
                if !is_kept {
                    truth.inuse[0] -= 1.0;
                    truth.inuse[1] -= block.1.size() as f64;
                }
                is_kept
            });
            for _ in 0..counts[index] {
                let bytes = random.size(kind.bytes);
                let block = FUNCTIONS[index](bytes);
                let is_kept = random.unit() > 0.25;
                for (sums, counts) in [(&mut truth.allocated, true), (&mut truth.inuse, is_kept)] {
                    sums[0] += f64::from(u8::from(counts));
                    sums[1] += bytes as f64 * f64::from(u8::from(counts));
                }
                if is_kept {
                    unsampled(|| self.kept[index].push(block));
                }
            }
        }
    }
}

/// Which frames are whose: those that a block of one kind alone has on its stack.
fn kinds_by_address() -> HashMap<CodeAddress, usize> {
    set_sampling_interval(1);
    let stacks: Vec<_> = FUNCTIONS
        .iter()
        .map(|function| {
            let before = snapshot();
            drop(function(16));
            snapshot().since(&before).stacks.swap_remove(0).trace.frames
        })
        .collect();
    let is_common = |address: &CodeAddress| stacks.iter().all(|stack| stack.contains(address));
    let own =
        |kind: usize| stacks[kind].iter().filter(|address| !is_common(address)).map(move |&a| (a, kind));
    (0..KINDS.len()).flat_map(own).collect()
}

/// Returns the totals of each kind, and of all together.
fn totals(snapshot: &Snapshot, kinds: &HashMap<CodeAddress, usize>) -> [Totals; KINDS.len() + 1] {
    let mut sums = [Totals::default(); KINDS.len() + 1];
    for stack in &snapshot.stacks {
        if let Some(kind) = stack.trace.frames.iter().find_map(|address| kinds.get(address).copied()) {
            for size in &stack.by_size {
                sums[kind] += size.totals;
                sums[KINDS.len()] += size.totals;
            }
        }
    }
    sums
}

/// How often the truth was within one error, and within two.
#[derive(Clone, Copy, Default)]
struct Shares([u64; 2]);

impl Shares {
    fn add(&mut self, estimate: f64, error: Option<f64>, truth: f64) {
        // What is exact is so but for the last digits of a sum.
        let off = (estimate - truth).abs() - 1e-9 * truth.abs();
        for (within, errors) in self.0.iter_mut().zip([1.0, 2.0]) {
            *within += u64::from(off <= errors * error.unwrap_or(0.0));
        }
    }
}

const FIGURES: [&str; 6] = [
    "objects in use",
    "bytes in use",
    "change of objects in use",
    "change of bytes in use",
    "objects allocated",
    "bytes allocated",
];

/// Returns for each figure the estimate, its error, and the truth.
fn figures(
    at_end: &Totals,
    between: &Totals,
    [first, second]: [Truth; 2],
) -> [(f64, Option<f64>, f64); FIGURES.len()] {
    let [change, allocated] = [(second.inuse, first.inuse), (second.allocated, first.allocated)]
        .map(|(a, b)| [a[0] - b[0], a[1] - b[1]]);
    [
        (at_end.inuse_objects, at_end.inuse_objects_standard_error(), second.inuse[0]),
        (at_end.inuse_bytes, at_end.inuse_bytes_standard_error(), second.inuse[1]),
        (between.inuse_objects, between.inuse_objects_standard_error(), change[0]),
        (between.inuse_bytes, between.inuse_bytes_standard_error(), change[1]),
        (between.alloc_objects, between.alloc_objects_standard_error(), allocated[0]),
        (between.alloc_bytes, between.alloc_bytes_standard_error(), allocated[1]),
    ]
}

/// The interval is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn notes(snapshot: &Snapshot) -> String {
    pprof_server::top_table(snapshot, &Default::default()).notes.join("\n")
}

#[test]
fn a_large_block_is_exact_at_any_interval() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_sampling_interval(DEFAULT_SAMPLING_INTERVAL);
    let before = snapshot();
    let block = allocate::<8>(64 << 20);
    let now = snapshot();
    let growth = now.since(&before);
    drop(block);
    let totals =
        growth.stacks.iter().flat_map(|stack| &stack.by_size).find(|size| size.size_class == 64 << 20);
    let totals = totals.expect("sampled with certainty").totals;
    assert_eq!((totals.inuse_bytes, totals.inuse_samples), (67_108_864.0, 1));
    assert_eq!(totals.inuse_bytes_standard_error(), Some(0.0));
    // These totals are the only ones.
    let alone = literal!(Snapshot {
        overflow: vec![literal!(SizeTotals { totals, ..SizeTotals::default() })],
        stacks: Vec::new(),
        ..now
    });
    assert_eq!(alone.inuse_standard_error(), Some(0.0));
    assert!(
        notes(&alone).contains("in use: 64.0 MiB ± 0.0 %, from 1 sample taken with certainty"),
        "{}",
        notes(&alone)
    );
}

#[test]
fn a_profile_is_as_uncertain_after_a_change_of_the_interval() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_sampling_interval(DEFAULT_SAMPLING_INTERVAL);
    testing::seed(1);
    let kept: Vec<Block> = unsampled(|| Vec::with_capacity(1 << 20));
    let kept = (0..200_000).fold(kept, |mut kept, _| {
        kept.push(allocate::<1>(360));
        kept
    });
    let sampled = snapshot();
    let error = sampled.inuse_standard_error().expect("some 137 samples");
    assert!((0.05..0.15).contains(&(error / sampled.totals().inuse_bytes)), "{error}");
    for interval in [1, 0, 4096] {
        set_sampling_interval(interval);
        let now = snapshot();
        assert_eq!(now.inuse_standard_error().map(f64::round), Some(error.round()), "{interval}");
        assert!(!notes(&now).contains("every allocation recorded"), "{}", notes(&now));
    }
    drop(kept);
}

#[test]
fn the_truth_is_within_the_errors_shown_as_often_as_they_say() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kinds = kinds_by_address();
    let mut shares = [[Shares::default(); FIGURES.len()]; KINDS.len() + 1];
    for seed in 1..=streams() {
        testing::seed(seed);
        let mut random = Random(seed << 32);
        let mut program = Program::default();
        let counts = KINDS.map(|kind| kind.count);
        program.step(&mut random, counts);
        let (before, then) = (unsampled(snapshot), program.truth);
        program.step(&mut random, counts);
        let now = unsampled(snapshot);
        let (at_end, between) = (totals(&now, &kinds), totals(&now.since(&before), &kinds));
        for (index, shares) in shares.iter_mut().enumerate() {
            // All together are the sums.
            let sum = |truths: &[Truth; KINDS.len()]| match truths.get(index) {
                Some(truth) => *truth,
                None => truths.iter().fold(Truth::default(), |sum, truth| Truth {
                    inuse: array::from_fn(|n| sum.inuse[n] + truth.inuse[n]),
                    allocated: array::from_fn(|n| sum.allocated[n] + truth.allocated[n]),
                }),
            };
            let truths = [sum(&then), sum(&program.truth)];
            let figures = figures(&at_end[index], &between[index], truths);
            for (shares, (estimate, error, truth)) in shares.iter_mut().zip(figures) {
                shares.add(estimate, error, truth);
            }
        }
    }
    let mut wrong = Vec::new();
    for (index, shares) in shares.iter().enumerate() {
        let name = KINDS.get(index).map_or("all together", |kind| kind.name);
        for (figure, Shares(within)) in FIGURES.iter().zip(shares) {
            let [one, two] = within.map(|within| within as f64 / streams() as f64);
            let line = format!("{name}, {figure}: {one:.3} within one standard error, {two:.3} within two");
            println!("{line}");
            let wider = (STREAMS as f64 / streams() as f64).sqrt();
            let is_right = match name {
                "64 MiB at the default interval" => one == 1.0,
                "16 B to 64 MiB" if figure.contains("objects") => true,
                _ => (one - 0.68).abs() <= 0.05 * wider && (two - 0.95).abs() <= 0.03 * wider,
            };
            if !is_right {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty() || streams() == 1, "{wrong:#?}");
    assert_eq!(testing::duplicate_inserts(), 0);
}
