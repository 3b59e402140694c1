//! What a search costs, each figure beside its budget.
//!
//! ```sh
//! cargo bench -p holders --bench cost            # 1 GiB, of which half becomes resident
//! cargo bench -p holders --bench cost -- 2       # 1 GiB becomes resident
//! cargo bench -p holders --bench cost -- 10      # 10 GiB, of which half becomes resident
//! ```
//!
//! Half of the memory is untouched, in turns of 64 KiB. The time of the search is that which the processor spent for it. What a program
//! feels of it is measured by another thread, which answers 5000 requests in a second: each request is due at a fixed moment, and what it
//! waits counts. This is done with and without a search in turn.

#[path = "../tests/process/mod.rs"]
mod process;

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use holders::{Block, Found, Pace};
use process::{masked, unmasked};

const GIB: usize = 1 << 30;
const MIB: f64 = 1048576.0;
/// Every other piece of so many bytes stays untouched.
const PIECE_BYTES: usize = 64 << 10;
/// As many samples as a heap of 2 GiB has at the default interval.
const BLOCKS: u64 = 4096;
const BLOCK_BYTES: u64 = 4096;
/// As `pprof-server` goes over memory.
const PACE: Pace =
    Pace { slice_bytes: 2 << 20, pause: Duration::from_micros(250), most_time: Duration::from_secs(120) };
const ROUNDS: usize = 7;
const REQUEST_EVERY: Duration = Duration::from_micros(200);

/// Returns numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Makes memory of which half is touched. One word in eight is an address within it, and the others are numbers.
fn memory(gib: usize) -> Vec<u64> {
    let mut words = vec![0_u64; gib * GIB / 8];
    let (start, bytes) = (words.as_ptr() as u64, (words.len() * 8) as u64);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for piece in words.chunks_mut(PIECE_BYTES / 8).step_by(2) {
        for (index, word) in piece.iter_mut().enumerate() {
            let number = numbers.next();
            *word = if index % 8 == 0 { start + number % bytes / 8 * 8 } else { number >> 16 };
        }
    }
    words
}

/// Returns the targets, masked: blocks in the part that is touched.
fn blocks(words: &[u64]) -> Vec<Block> {
    let pieces = (words.len() * 8 / PIECE_BYTES / 2) as u64;
    let block = |number: u64| {
        let address = words.as_ptr() as u64 + number * pieces / BLOCKS * 2 * PIECE_BYTES as u64;
        Block { address, bytes: BLOCK_BYTES, site: (number % 16) as u32, target: Some(number as u32) }
    };
    (0..BLOCKS).map(block).map(masked).collect()
}

fn search(targets: &[Block]) -> Found {
    process::search(unmasked(targets), PACE).unwrap()
}

/// Lets other threads go before this one, as `pprof-server` has its searches do.
fn stand_back() {
    // SAFETY: the call takes and gives numbers alone, and changes how the kernel schedules this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
}

/// Returns for how many nanoseconds this thread has run.
fn cpu_ns() -> u64 {
    let figures = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    figures.split(' ').next().unwrap().parse().unwrap()
}

/// Returns a line of `/proc/self/status`, in bytes.
fn status_bytes(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|sign: char| !sign.is_ascii_digit()).parse::<f64>().unwrap() * 1024.0
}

/// Answers requests until `is_over`, each due at a fixed moment. Returns how long the slowest of a hundred took, at least.
fn p99(words: &[u64], is_over: impl Fn() -> bool) -> Duration {
    let mut numbers = Numbers(7);
    let mut times = Vec::with_capacity(1 << 16);
    let start = Instant::now();
    let mut due = Duration::ZERO;
    while !is_over() {
        due += REQUEST_EVERY;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        // A request looks at a thousand places.
        let sum: u64 =
            (0..1000).map(|_| words[numbers.next() as usize % (PIECE_BYTES / 8)]).fold(0, u64::wrapping_add);
        black_box(sum);
        times.push(start.elapsed().saturating_sub(due));
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

fn verdict(what: &str, value: f64, unit: &str, budget: f64) {
    let word = if value <= budget { "ok" } else { "OVER" };
    println!("{what:<58} {value:>9.2} {unit:<4} budget {budget:>7.2} {unit:<4} {word}");
}

fn main() {
    let gib = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let words = memory(gib);
    let targets = blocks(&words);
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (resident, begun) = (status_bytes("VmRSS:"), cpu_ns());
    let found = search(&targets);
    let spent = (cpu_ns() - begun) as f64 / 1e9;
    let (peak, after) = (status_bytes("VmHWM:"), status_bytes("VmRSS:"));
    let searched = found.searched_bytes as f64 / GIB as f64;
    println!(
        "{gib} GiB, {:.2} GiB resident; {} passes over {searched:.2} GiB in {:.2} s",
        resident / GIB as f64,
        found.passes,
        found.time.as_secs_f64()
    );
    let passes = found.passes as f64;
    verdict("processor time for each GiB resident, one pass", spent / searched, "s", 0.5);
    println!("{:<58} {:>9.2} s", "the same of all passes", spent / searched * passes);
    verdict("memory of the search", (peak - resident) / MIB, "MiB", 16.0);
    verdict("memory that stays resident", 100.0 * (after - resident) / resident, "%", 1.0);

    let (mut quiet, mut searched) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        quiet.push(p99(&words, || start.elapsed() > Duration::from_secs(1)));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stand_back();
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(1) {
                    search(&targets);
                }
                is_over.store(true, Relaxed);
            });
            searched.push(p99(&words, || is_over.load(Relaxed)));
        });
    }
    quiet.sort_unstable();
    searched.sort_unstable();
    println!("99th percentile of each round without a search: {quiet:?}");
    println!("99th percentile of each round with searches:    {searched:?}");
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    // Noise is what the rounds without a search differ by.
    verdict(
        "median of the 99th percentile, with searches",
        micros(searched[ROUNDS / 2]),
        "µs",
        micros(quiet[ROUNDS - 1]),
    );
}
