//! What reading costs, and what a program feels of it: so many live samples on so many stacks, every allocation
//! sampled, then profiles taken while another thread goes on allocating.
//!
//! ```text
//! read-path --live 100000 --stacks 10000
//! ```
//!
//! Prints `name=value` pairs on one line.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use alloc_profiler::{Limits, SamplingAllocator, Snapshot};
use pprof_server::ProfileOptions;
use pprof_server::internal::history_phases::Recorder;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// How often each of the two, snapshot and encoding, is repeated; and how many trials of pauses there are.
const REPEATS: usize = 9;
const TRIAL: Duration = Duration::from_millis(300);
/// How long the recorder is watched. It makes some records in that time, and a point of the time line each second.
const WATCHED: Duration = Duration::from_secs(120);

fn main() {
    let (live, stacks) = (option("--live", 100_000), option("--stacks", 10_000));
    alloc_profiler::set_limits(
        Limits::DEFAULT.with_memory_bytes(1 << 30).with_stacks(1 << 20).with_live_samples(1 << 22),
    );
    let mut held: Vec<Box<[u64; 8]>> = Vec::with_capacity(live + 1);
    alloc_profiler::set_sampling_interval(1);

    let (nanos, bytes_per_live) = fill(&mut held, live, stacks);
    let own = alloc_profiler::snapshot().own_memory;
    let pair_nanos = pair_nanos();

    let (mut snapshots, mut encodings) = (Vec::new(), Vec::new());
    let mut profile_bytes = 0;
    for _ in 0..=REPEATS {
        let (snapshot, millis) = timed(alloc_profiler::snapshot);
        snapshots.push(millis);
        let (profile, millis) = timed(|| pprof_server::heap_profile(&snapshot, &ProfileOptions::default()));
        encodings.push(millis);
        profile_bytes = profile.len();
    }
    // The first profile names every address.
    let (cold_snapshot, cold_encoding) = (snapshots.remove(0), encodings.remove(0));
    let (undisturbed, beside_snapshots) =
        (longest_pause(|| for_a_while(|| ())), longest_pause(|| for_a_while(snapshot)));

    let (recorder, records) = full_history();
    let (history_bytes, history_records) = recorder.held();
    let (ages, ages_ms) = timed(alloc_profiler::snapshot_with_ages);
    let report = recorder.suspects(Duration::ZERO, &ages);
    let recorder = Mutex::new(recorder);
    let record = || recorder.lock().expect("no panic").record(&alloc_profiler::snapshot());
    let beside_recorder = longest_pause(|| for_a_while(record));
    let totals: Vec<f64> = (0..1001).map(|_| timed(|| black_box(alloc_profiler::totals())).1 * 1e3).collect();
    let recorder_share = recorder_share();

    println!(
        "live={} stacks={} live_bytes_each={bytes_per_live:.1} hold_ns={nanos:.1} pair_ns={pair_nanos:.1} \
         snapshot_ms={:.3} encode_ms={:.3} cold_ms={:.3} profile_bytes={profile_bytes} \
         pause_us={beside_snapshots:.1} pause_without_us={undisturbed:.1} record_ms={:.3} \
         history_bytes={history_bytes} history_records={history_records} ages_ms={ages_ms:.3} \
         suspects_ms={:.3} pause_recorder_us={beside_recorder:.1} totals_us={:.1} \
         recorder_percent={:.4}",
        own.live_samples,
        own.stacks,
        median(snapshots),
        median(encodings),
        cold_snapshot + cold_encoding,
        median(records),
        (report.names + report.report).as_secs_f64() * 1e3,
        median(totals),
        recorder_share * 100.0,
    );
}

/// Holds so many live samples on so many stacks. Returns the time and the profiler's bytes of each sample.
fn fill(held: &mut Vec<Box<[u64; 8]>>, live: usize, stacks: usize) -> (f64, f64) {
    // The first blocks bring every stack; the rest only live samples, so what memory they take is theirs alone.
    let first = stacks.max(live / 10).min(live);
    let (mut mapped_before, mut start) = (0, Instant::now());
    // One call for both parts: two, or a loop unrolled, would be two sets of stacks.
    for &live in black_box(&[first, live][..]) {
        mapped_before = alloc_profiler::snapshot().own_memory.mapped_bytes;
        start = Instant::now();
        hold(held, live, stacks);
    }
    let nanos = start.elapsed().as_nanos() as f64;
    let mapped = alloc_profiler::snapshot().own_memory.mapped_bytes - mapped_before;
    let each = |sum: f64| sum / (live - first).max(1) as f64;
    (each(nanos), each(mapped as f64))
}

/// The share of a core that a server's recorder takes by itself, records and time line together, while nobody asks for anything.
fn recorder_share() -> f64 {
    let server = pprof_server::Server::builder().serve("127.0.0.1:0").expect("a free port");
    // The first record and the first point find nothing in the caches.
    thread::sleep(Duration::from_secs(2));
    let (before, start) = (worker_nanos(), Instant::now());
    thread::sleep(WATCHED);
    let share = (worker_nanos() - before) as f64 / start.elapsed().as_nanos() as f64;
    drop(server);
    share
}

/// The time for which the server's thread that records has run.
fn worker_nanos() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux").map(|task| task.expect("a thread").path());
    let is_worker =
        |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "pprof-worker\n");
    let worker = tasks.into_iter().find(is_worker).expect("it has started");
    let times = fs::read_to_string(worker.join("schedstat")).expect("the kernel counts");
    times.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number")
}

/// The time of a sampled allocation and its free, while all the samples are live.
fn pair_nanos() -> f64 {
    let start = Instant::now();
    for _ in 0..100_000 {
        drop(black_box(Box::new([1_u64; 8])));
    }
    start.elapsed().as_nanos() as f64 / 100_000.0
}

/// A history as full as it gets, and the milliseconds that each record took: a day and more of minutes has passed, each with
/// its snapshot.
fn full_history() -> (Recorder, Vec<f64>) {
    let mut recorder = Recorder::default();
    let mut snapshot = alloc_profiler::snapshot();
    let records = (0..2000)
        .map(|minute| {
            vary(&mut snapshot, minute);
            timed(|| recorder.record(&snapshot)).1
        })
        .collect();
    (recorder, records)
}

/// The longest that one allocation and free of another thread takes during `meanwhile`, in microseconds.
///
/// The scheduler stops threads too. What we cause we cause in every trial, so the shortest of the trials'
/// longest is the bound on us.
fn longest_pause(meanwhile: impl Fn()) -> f64 {
    let trial = || {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let allocating = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                while !is_over.load(Relaxed) {
                    let start = Instant::now();
                    drop(black_box(Box::new([1_u64; 8])));
                    longest = longest.max(start.elapsed());
                }
                longest
            });
            meanwhile();
            is_over.store(true, Relaxed);
            allocating.join().expect("allocating does not panic")
        })
    };
    (0..REPEATS).map(|_| trial()).min().unwrap_or_default().as_nanos() as f64 / 1000.0
}

/// Does `work` again and again. It is as busy without any work as with much, so that both leave as much of the machine.
fn for_a_while(work: impl Fn()) {
    let start = Instant::now();
    while start.elapsed() < TRIAL {
        work();
    }
}

/// Has every stack allocate and free something, as in a busy minute: the same bytes again and again would pack better
/// than any program's.
fn vary(snapshot: &mut Snapshot, minute: u64) {
    for (number, stack) in (0..).zip(&mut snapshot.stacks) {
        let mut mixed = (minute << 32 | number) ^ 0x9E37_79B9_7F4A_7C15;
        for size in &mut stack.by_size {
            mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let samples = (mixed >> 58) as i64;
            size.totals.alloc_samples += samples;
            size.totals.alloc_objects += (samples * 7919) as f64;
            size.totals.alloc_bytes += (samples * 524_288) as f64;
            size.totals.inuse_samples = samples;
            size.totals.inuse_objects = (samples * 7919) as f64;
            size.totals.inuse_bytes = (samples * 524_288) as f64;
        }
    }
}

fn snapshot() {
    black_box(alloc_profiler::snapshot());
}

/// Allocates until `live` blocks are held, the n-th on stack n modulo `stacks`.
#[expect(clippy::vec_box, reason = "the boxes are what is measured")]
fn hold(held: &mut Vec<Box<[u64; 8]>>, live: usize, stacks: usize) {
    while held.len() < live {
        let number = held.len() % stacks;
        descend(number, stacks, &mut || held.push(black_box(Box::new([1; 8]))));
    }
}

/// Calls `last` on a stack of its own for each `number` below `stacks`. The stack has one frame for each decimal digit,
/// in one of ten functions.
fn descend(number: usize, stacks: usize, last: &mut dyn FnMut()) {
    type Digit = fn(usize, usize, &mut dyn FnMut());
    const DIGITS: [Digit; 10] = [
        digit::<0>, digit::<1>, digit::<2>, digit::<3>, digit::<4>, digit::<5>, digit::<6>, digit::<7>,
        digit::<8>, digit::<9>,
    ];
    if stacks <= 1 { last() } else { DIGITS[number % 10](number / 10, stacks / 10, last) }
}

#[inline(never)]
fn digit<const DIGIT: usize>(number: usize, stacks: usize, last: &mut dyn FnMut()) {
    descend(number, stacks, last);
    // This keeps the ten functions apart, and the call from becoming a jump.
    black_box(DIGIT);
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = run();
    (value, start.elapsed().as_nanos() as f64 / 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn option(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match arguments.nth(1) {
        Some(value) => value.parse().unwrap_or_else(|_| panic!("{name} {value}: not a number")),
        None => default,
    }
}
