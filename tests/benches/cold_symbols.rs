//! What the first names cost in a program with 100 MB of debug information: this one, once
//! `scripts/bench-cold-symbols.sh` has built it.
//!
//! It asks for the names of 2 000 addresses scattered over all of its code, on a thread of their own as the server
//! does, and prints the time, the most anonymous memory on the way, and what of it stays.
//!
//! With the argument `cpu` it asks instead for a CPU profile of all of its code, and prints how long after the time that was asked
//! for the answer came. A scraper waits no longer than a second.

mod giant;

use alloc_profiler::internal::literal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{ProfileOptions, heap_profile};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const ADDRESSES: usize = 2000;
static PEAK_KIB: AtomicU64 = AtomicU64::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Returns how much anonymous memory is resident now, in KiB.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Returns return addresses that are spread evenly over the code of this program.
fn scattered() -> Vec<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    let code =
        maps.lines().find(|line| line.contains("r-xp") && line.ends_with(program.to_str().unwrap_or(" ")));
    let (start, rest) = code.and_then(|line| line.split_once('-')).expect("code of this program");
    let limit = rest.split(' ').next().unwrap_or("");
    let address = |text| usize::from_str_radix(text, 16).expect("hexadecimal");
    let (start, limit) = (address(start), address(limit));
    (0..ADDRESSES).map(|n| start + (limit - start) / ADDRESSES * n + 7).collect()
}

fn scattered_snapshot() -> Snapshot {
    let totals =
        literal!(Totals { inuse_bytes: 8.0, inuse_objects: 1.0, inuse_samples: 1, ..Totals::default() });
    let stack = |address| {
        literal!(StackTotals {
            trace: StackTrace::of_return_addresses([address]),
            by_size: vec![literal!(SizeTotals { size_class: 8, totals, ..SizeTotals::default() })],
            ..StackTotals::default()
        })
    };
    literal!(Snapshot { stacks: scattered().into_iter().map(stack).collect(), ..alloc_profiler::snapshot() })
}

const SECONDS: u64 = 5;
const MOST_LATE: Duration = Duration::from_secs(1);

/// The first CPU profile, while two threads run through all of the code.
fn cold_cpu() {
    let server = pprof_server::serve("127.0.0.1:0").expect("a port");
    let busy = [(); 2].map(|()| {
        std::thread::spawn(|| {
            while !IS_OVER.load(Relaxed) {
                std::hint::black_box(giant::run());
            }
        })
    });
    let start = Instant::now();
    let path = format!("/debug/pprof/profile?seconds={SECONDS}&hz=1000");
    let reply = workspace_tests::client::get(server.local_addr(), &path);
    let late = start.elapsed().saturating_sub(Duration::from_secs(SECONDS));
    IS_OVER.store(true, Relaxed);
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    let profile = workspace_tests::decode(&reply.body);
    let (functions, samples) = (profile.function.len(), profile.sample.len());
    let verdict = if late <= MOST_LATE { "within" } else { "ABOVE" };
    println!(
        "first CPU profile, {SECONDS} s at 1000 Hz, {samples} stacks, {functions} functions: {:.3} s late, {verdict} {MOST_LATE:?}",
        late.as_secs_f64()
    );
    busy.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

fn main() {
    if std::env::args().any(|argument| argument == "cpu") {
        return cold_cpu();
    }
    println!("{} instances of generic code", giant::run());
    let snapshot = scattered_snapshot();
    let watch = std::thread::spawn(|| {
        while !IS_OVER.load(Relaxed) {
            PEAK_KIB.fetch_max(anonymous_kib(), Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    let baseline = anonymous_kib();
    let more = |kib: u64| (kib as f64 - baseline as f64) / 1024.0;
    let profile = |what: &str, snapshot: &Snapshot| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                let bytes = heap_profile(snapshot, &ProfileOptions::default()).len();
                println!("{what}: {:.3} s, {bytes} bytes", start.elapsed().as_secs_f64());
            });
        });
    };
    println!("baseline: {:.1} MiB of anonymous memory", baseline as f64 / 1024.0);
    profile("first names", &snapshot);
    let after = anonymous_kib();
    println!(
        "peak: baseline + {:.1} MiB; after: baseline + {:.1} MiB",
        more(PEAK_KIB.load(Relaxed)),
        more(after)
    );
    profile("again", &snapshot);
    println!("after: baseline + {:.1} MiB", more(anonymous_kib()));
    alloc_profiler::release_free_memory();
    println!("once free memory is released: baseline + {:.1} MiB", more(anonymous_kib()));
    IS_OVER.store(true, Relaxed);
    let _ = watch.join();
}
