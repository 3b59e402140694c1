//! Estimates against an exact count: unbiased, and no farther off than sampling explains.
//!
//! A block of `s` bytes is sampled with probability `p = 1 - exp(-s / interval)` and then stands for `1 / p`, so
//! the sum over blocks of values `v` has the variance `sum of v^2 (1 - p) / p`, which each workload adds up beside
//! the truth. An estimate may be 6 of its standard deviations off (a right one is, twice in 10^9 for a normal
//! distribution, which dozens of samples come close enough to), and the mean of all `runs` 6 of its own, which are
//! `sqrt(runs)` times smaller: that is where a bias would show. Seeds are fixed, so an outcome repeats.

use std::hint::black_box;

use alloc_profiler::{SamplingAllocator, sampling_interval, set_sampling_interval, snapshot, testing};
use workspace_tests::oracle::{CountingAllocator, Counts, totals_agree};

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CountingAllocator> = SamplingAllocator::with_allocator(CountingAllocator);

/// One, under a sanitizer (`SANITIZER=1`): what it finds, it finds in the first.
fn runs() -> u64 {
    if std::env::var_os("SANITIZER").is_some() { 1 } else { 16 }
}

/// The variances that the estimates of some blocks' objects and bytes have.
#[derive(Clone, Copy, Default)]
struct Variance {
    objects: f64,
    bytes: f64,
}

impl Variance {
    fn of_block(size: usize) -> Variance {
        let (size, interval) = (size as f64, sampling_interval() as f64);
        let odds_against = if interval == 1.0 { 0.0 } else { 1.0 / (size / interval).exp_m1() };
        Variance { objects: odds_against, bytes: size * size * odds_against }
    }

    fn add(&mut self, other: Variance) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// What a workload did: how uncertain its estimates are, and the blocks that it kept.
struct Work {
    allocated: Variance,
    live: Variance,
    kept: Vec<Vec<u8>>,
}

impl Work {
    /// Allocates a block of `size` bytes, and keeps it or not.
    #[inline(never)]
    fn block(&mut self, size: usize, is_kept: bool) {
        let block = black_box(Vec::<u8>::with_capacity(size));
        self.allocated.add(Variance::of_block(size));
        if is_kept {
            self.live.add(Variance::of_block(size));
            self.kept.push(block);
        }
    }
}

fn one_size(work: &mut Work) {
    (0..400_000).for_each(|n| work.block(64, n % 2 == 0));
}

fn many_sizes_on_one_stack(work: &mut Work) {
    for n in 0..60_000 {
        work.block([16, 64, 100, 1000, 10_000, 5_000_000][n % 6] >> (n % 2), n % 4 == 0 && n % 6 != 5);
    }
}

fn from_16_bytes_to_64_mebibytes(work: &mut Work) {
    for power in 4..=26 {
        let count = ((64 << 20) >> power).clamp(4, 400_000);
        (0..count).for_each(|n| work.block(1 << power, n % 2 == 0 && (n as usize) << power < 64 << 20));
    }
}

fn growth_by_realloc(work: &mut Work) {
    for _ in 0..300 {
        let mut grown: Vec<u8> = Vec::new();
        let mut size = 1024;
        while size <= 1 << 20 {
            grown.reserve_exact(size);
            black_box(&mut grown);
            work.allocated.add(Variance::of_block(size));
            size *= 2;
        }
        work.live.add(Variance::of_block(size / 2));
        work.kept.push(grown);
    }
}

fn frees_on_another_thread(work: &mut Work) {
    (0..200_000).for_each(|n| work.block(300, n % 3 == 0));
    let freed_elsewhere: Vec<Vec<u8>> = (0..50_000).map(|_| black_box(vec![0; 200])).collect();
    for _ in &freed_elsewhere {
        work.allocated.add(Variance::of_block(200));
    }
    std::thread::spawn(move || drop(freed_elsewhere)).join().expect("no panic");
}

fn the_interval_changed_midway(work: &mut Work) {
    let usual = sampling_interval();
    for (n, interval) in [usual, 1000, usual * 4, 1, usual].into_iter().enumerate() {
        set_sampling_interval(interval);
        (0..40_000).for_each(|block| work.block(200 + n, block % 2 == 0));
    }
}

#[test]
fn estimates_match_the_truth() {
    type Workload = (&'static str, u64, fn(&mut Work));
    let workloads: [Workload; 7] = [
        ("one size", 16_384, one_size),
        ("one size at the default interval", 524_288, one_size),
        ("many sizes on one stack", 65_536, many_sizes_on_one_stack),
        ("16 B to 64 MiB", 65_536, from_16_bytes_to_64_mebibytes),
        ("growth by realloc", 16_384, growth_by_realloc),
        ("frees on another thread", 16_384, frees_on_another_thread),
        ("the interval changed midway", 16_384, the_interval_changed_midway),
    ];
    for (seed, (name, interval, workload)) in (1_u64..).step_by(1000).zip(workloads) {
        let mut checks = ["allocated objects", "allocated bytes", "live objects", "live bytes"]
            .map(|what| Check { what: format!("{name}: {what}"), error: 0.0, variance: 0.0 });
        for run in 0..runs() {
            set_sampling_interval(interval);
            testing::seed(seed + run);
            let mut work = Work {
                allocated: Variance::default(),
                live: Variance::default(),
                kept: Vec::with_capacity(1 << 20),
            };
            let (profile_before, counts_before) = (snapshot(), Counts::now());
            workload(&mut work);
            let truth = Counts::now().since(counts_before);
            let estimate = snapshot().since(&profile_before).totals();
            totals_agree();

            let [objects, bytes, live_objects, live_bytes] = &mut checks;
            objects.add(estimate.alloc_objects, truth.allocated_objects as f64, work.allocated.objects);
            bytes.add(estimate.alloc_bytes, truth.allocated_bytes as f64, work.allocated.bytes);
            live_objects.add(estimate.inuse_objects, truth.live_objects as f64, work.live.objects);
            live_bytes.add(estimate.inuse_bytes, truth.live_bytes as f64, work.live.bytes);
        }
        checks.iter().for_each(Check::no_bias);
    }
    assert_eq!(testing::duplicate_inserts(), 0);
}

/// One figure over all runs of a workload.
struct Check {
    what: String,
    error: f64,
    variance: f64,
}

impl Check {
    fn add(&mut self, estimate: f64, truth: f64, variance: f64) {
        let sigmas = (estimate - truth) / variance.sqrt();
        assert!(sigmas.abs() < 6.0, "{}: {estimate} for {truth} is {sigmas:.1} sigma off", self.what);
        self.error += estimate - truth;
        self.variance += variance;
    }

    fn no_bias(&self) {
        let sigmas = self.error / self.variance.sqrt();
        println!("{}: {sigmas:+.2} sigma over {} runs", self.what, runs());
        assert!(sigmas.abs() < 6.0, "{}: biased by {sigmas:.1} sigma", self.what);
    }
}
