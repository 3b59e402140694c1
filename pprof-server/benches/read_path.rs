//! What reading a profile costs: snapshot and encoding of 100 000 live samples on 10 000 stacks, and how long
//! an allocating thread waits while a million live records are copied. What the report on leaks costs, with as many moments as
//! it looks at.
//!
//! Run by `cargo bench -p pprof-server --bench read_path`; with an argument `stacks`, `leaks` or `pauses` only that part.
//! The stacks are real, and every allocation is recorded. It prints minimum and median, since other programs only ever add time.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::{
    Limits, SamplingAllocator, Snapshot, set_limits, set_sampling_interval, snapshot, snapshot_with_ages,
    unsampled,
};
use pprof_server::internal::history_phases::{Recorder, ReportPhases};
use pprof_server::internal::phases;
use pprof_server::{ProfileOptions, SizeLimit, Symbolize};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

type Block = Box<[u8]>;

/// Functions that call one another, eight in each module, each with a call site for every one in the next:
/// some 2500 call sites, and more ways through them than anyone can count.
macro_rules! levels {
    ($here:ident) => {
        mod $here {
            pub(super) fn step<const V: usize>(path: u128, blocks: &mut Vec<super::Block>) {
                super::leaf(path as usize, blocks);
            }
        }
    };
    ($here:ident $next:ident $($rest:ident)*) => {
        mod $here {
            use super::$next::step as next;
            #[inline(never)]
            pub(super) fn step<const V: usize>(path: u128, blocks: &mut Vec<super::Block>) {
                let rest = path >> 3;
                match path & 7 {
                    0 => next::<0>(rest, blocks),
                    1 => next::<1>(rest, blocks),
                    2 => next::<2>(rest, blocks),
                    3 => next::<3>(rest, blocks),
                    4 => next::<4>(rest, blocks),
                    5 => next::<5>(rest, blocks),
                    6 => next::<6>(rest, blocks),
                    _ => next::<7>(rest, blocks),
                }
                // No tail call.
                std::hint::black_box(V);
            }
        }
        levels!($next $($rest)*);
    };
}
levels!(l01 l02 l03 l04 l05 l06 l07 l08 l09 l10 l11 l12 l13 l14 l15 l16 l17 l18 l19 l20 l21 l22 l23 l24 l25 l26
    l27 l28 l29 l30 l31 l32 l33 l34 l35 l36);

const STACKS: usize = 10_000;
const SAMPLES_PER_STACK: usize = 10;

/// Ten blocks on one stack, in one to three size classes.
#[inline(never)]
fn leaf(seed: usize, blocks: &mut Vec<Block>) {
    for n in 0..SAMPLES_PER_STACK {
        let size = 24 + seed % 40 + (n % (1 + seed % 3)) * 100;
        blocks.push(black_box(vec![0; size].into_boxed_slice()));
    }
}

fn many_stacks() -> Vec<Block> {
    let mut blocks = unsampled(|| Vec::with_capacity(STACKS * SAMPLES_PER_STACK));
    let mut state: u128 = 1;
    let mut random = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x9e37_79b9);
        state.rotate_right(64)
    };
    for _ in 0..STACKS {
        // Each bit is set one time in eight: as in real programs, most calls go the usual way.
        l01::step::<0>(random() & random() & random(), &mut blocks);
    }
    blocks
}

/// Minimum and median of the times that `run` returns, in milliseconds.
fn times(rounds: usize, mut run: impl FnMut() -> Duration) -> [f64; 2] {
    let mut times: Vec<f64> = (0..rounds).map(|_| run().as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[rounds / 2]]
}

fn row(what: &str, [minimum, median]: [f64; 2]) {
    println!("{what:<34}{minimum:>9.2}{median:>9.2}");
}

fn timed<R>(run: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

fn encode(snapshot: &Snapshot, symbolize: Symbolize) -> phases::Phases {
    // Its 20 000 samples are more than scrapers take; what is measured is the encoding of all of them.
    let limit = SizeLimit::NONE;
    phases::heap_profile(snapshot, &ProfileOptions::default().with_symbolize(symbolize).with_limit(limit))
}

fn stacks() {
    const ROUNDS: usize = 21;
    let blocks = many_stacks();
    let taken = snapshot();
    let totals = taken.totals();
    let frames: usize = taken.stacks.iter().map(|stack| stack.trace.frames.len()).sum();
    println!(
        "{} live samples on {} stacks of {} frames; milliseconds, minimum and median of {ROUNDS}",
        totals.inuse_samples,
        taken.stacks.len(),
        frames / taken.stacks.len()
    );
    row("snapshot", times(ROUNDS, || timed(snapshot).1));
    row("names, cold", times(1, || encode(&taken, Symbolize::Full).names));
    for (kind, symbolize) in [("", Symbolize::Full), (", symbolize=none", Symbolize::None)] {
        let mut phases: Vec<_> = (0..ROUNDS).map(|_| encode(&taken, symbolize)).collect();
        let each = |what: &str, phase: fn(&phases::Phases) -> Duration| {
            let mut next = phases.iter();
            row(&format!("{what}{kind}"), times(ROUNDS, || next.next().map_or(Duration::ZERO, phase)));
        };
        each("  names", |phases| phases.names);
        each("  build", |phases| phases.build);
        each("  gzip", |phases| phases.gzip);
        each("encode", |phases| phases.names + phases.build + phases.gzip);
        let sizes = phases.pop().expect("at least one round");
        println!("bytes{kind}: {} gzipped, {} before", sizes.gzipped_bytes, sizes.message_bytes);
    }
    row("snapshot + encode", times(ROUNDS, || timed(|| encode(&snapshot(), Symbolize::Full)).1));
    drop(blocks);
}

/// Makes the record of `snapshot` at the moment with this number: in every other stack it has grown steadily, and in the others it
/// goes up and down.
fn vary(snapshot: &mut Snapshot, original: &Snapshot, number: usize) {
    for (index, (stack, now)) in snapshot.stacks.iter_mut().zip(&original.stacks).enumerate() {
        let mixed = (number * STACKS + index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let share =
            if index % 2 == 0 { number as f64 / MOMENTS as f64 } else { (mixed >> 48) as f64 / 65536.0 };
        for (size, now) in stack.by_size.iter_mut().zip(&now.by_size) {
            size.totals.alloc_objects = now.totals.alloc_objects + number as f64;
            size.totals.inuse_objects = (now.totals.inuse_objects * share).round();
            size.totals.inuse_bytes = (now.totals.inuse_bytes * share).round();
        }
    }
}

/// So many records are made: one each minute for an hour, and then one each five seconds for five minutes.
const MOMENTS: usize = 115;

fn leaks() {
    const ROUNDS: usize = 21;
    let blocks = many_stacks();
    let (mut recorder, now) = (Recorder::default(), snapshot());
    let mut varied = now.clone();
    for number in 0..MOMENTS {
        vary(&mut varied, &now, number);
        recorder.record_after(Duration::from_secs(if number < 55 { 60 } else { 5 }), &varied);
    }
    let (now, ages) = timed(snapshot_with_ages);
    let reports: Vec<ReportPhases> =
        (0..ROUNDS).map(|_| recorder.suspects(Duration::from_secs(2), &now)).collect();
    let (bytes, records) = recorder.held();
    println!(
        "\n{} stacks, {records} records of {bytes} bytes, of which {} moments are looked at, {} suspects; milliseconds of the \
         processor, minimum and median of {ROUNDS}",
        now.stacks.len(),
        reports[0].moments,
        reports[0].suspects
    );
    row("snapshot with ages, once", [ages.as_secs_f64() * 1e3; 2]);
    let each = |what: &str, phase: fn(&ReportPhases) -> Duration| {
        let mut next = reports.iter();
        row(what, times(ROUNDS, || next.next().map_or(Duration::ZERO, phase)));
    };
    each("  names", |phases| phases.names);
    each("  report", |phases| phases.report);
    each("names + report", |phases| phases.names + phases.report);
    drop(blocks);
}

/// So often each kind of disturbance is measured, in turn with the others.
const TURNS: usize = 7;

/// How long the operations of one turn took, in microseconds, and how often what disturbs ran meanwhile.
struct Waits {
    median: f64,
    one_in_1000: f64,
    longest: f64,
    over_1_ms: usize,
    runs: usize,
}

/// What a thread waits that allocates and frees without pause while `beside` runs over and over in another.
fn waits(beside: &dyn Fn()) -> Waits {
    const OPERATIONS: usize = 4_000_000;
    let is_over = AtomicBool::new(false);
    let mut waits = unsampled(|| Vec::with_capacity(OPERATIONS));
    let mut runs = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..OPERATIONS {
                let start = Instant::now();
                drop(black_box(Box::new([0_u8; 64])));
                waits.push(start.elapsed().as_nanos() as u64);
            }
            is_over.store(true, Relaxed);
        });
        while !is_over.load(Relaxed) {
            beside();
            runs += 1;
        }
    });
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    let over_1_ms = waits.iter().rev().take_while(|&&wait| wait > 1_000_000).count();
    Waits { median: at(0.5), one_in_1000: at(0.999), longest: at(1.0), over_1_ms, runs }
}

/// Prints what was measured in all turns: of each figure its median, and of the longest wait the worst too.
fn waits_row(what: &str, turns: &[Waits]) {
    let sorted = |figure: fn(&Waits) -> f64| {
        let mut figures: Vec<f64> = turns.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let longest = sorted(|waits| waits.longest);
    println!(
        "{what:<34}{:>9.2}{:>9.2}{:>12.1}{:>12.1}{:>9.0}{:>9.0}",
        sorted(|waits| waits.median)[TURNS / 2],
        sorted(|waits| waits.one_in_1000)[TURNS / 2],
        longest[TURNS / 2],
        longest[TURNS - 1],
        sorted(|waits| waits.over_1_ms as f64)[TURNS / 2],
        sorted(|waits| waits.runs as f64)[TURNS / 2],
    );
}

fn million() {
    const RECORDS: usize = 1_000_000;
    set_limits(Limits::DEFAULT.with_memory_bytes(256 << 20).with_live_samples(1 << 21));
    let mut blocks = unsampled(|| Vec::with_capacity(RECORDS));
    for n in 0..RECORDS {
        blocks.push(black_box(vec![0_u8; 16 + n % 48].into_boxed_slice()));
    }
    println!("\n{} live records; milliseconds, minimum and median of 9", snapshot().totals().inuse_samples);
    row("snapshot", times(9, || timed(snapshot).1));
    row("snapshot + encode", times(9, || timed(|| encode(&snapshot(), Symbolize::Full)).1));
    println!(
        "\nalloc+free of 64 B, every one recorded; microseconds, medians of {TURNS} turns\n\
         {:<34}{:>9}{:>9}{:>12}{:>12}{:>9}{:>9}",
        "beside", "median", "99.9 %", "longest", "worst", "> 1 ms", "runs"
    );
    let recorder = Mutex::new(Recorder::default());
    let kinds: [(&str, &dyn Fn()); 5] = [
        ("nothing", &|| std::thread::sleep(Duration::from_millis(50))),
        // What the scheduler does to two busy threads on few cores, without any lock.
        ("a busy thread", &|| {
            black_box((0..10_000_000_u64).fold(0, |sum, n| black_box(sum ^ n)));
        }),
        ("snapshots", &|| drop(snapshot())),
        // A hundred times as often as the recorder's pace.
        ("records, every 50 ms", &|| {
            recorder.lock().expect("no panic").record_after(Duration::from_secs(5), &snapshot());
            std::thread::sleep(Duration::from_millis(50));
        }),
        ("snapshots and encoding", &|| {
            black_box(encode(&snapshot(), Symbolize::Full));
        }),
    ];
    let mut turns: [Vec<Waits>; 5] = Default::default();
    for _ in 0..TURNS {
        for ((_, beside), turns) in kinds.iter().zip(&mut turns) {
            turns.push(waits(beside));
        }
    }
    for ((what, _), turns) in kinds.iter().zip(&turns) {
        waits_row(what, turns);
    }
    drop(blocks);
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    set_sampling_interval(1);
    if is_wanted("stacks") {
        stacks();
    }
    if is_wanted("leaks") {
        leaks();
    }
    if is_wanted("pauses") {
        million();
    }
}
