//! Hours of a service in minutes: the demo's proxy under load, beside threads, libraries and children that come and
//! go, and somebody who reads a profile every ten seconds. See `scripts/soak.sh`; the argument is minutes.
//!
//! At the end the profiler has no more memory than it had at half-time, nothing was dropped, every profile was valid,
//! and what it says of blocks that were counted exactly lies within five standard deviations of the truth.

#[path = "../demo-leak/src/load.rs"]
mod load;
#[expect(dead_code, reason = "the whole of the demo, of which this is a part")]
#[path = "../demo-leak/src/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "the whole of the demo, of which this is a part")]
#[path = "../demo-leak/src/reader.rs"]
mod reader;
#[path = "../demo-leak/src/ticker.rs"]
mod ticker;

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use alloc_profiler::{DEFAULT_SAMPLING_INTERVAL, Dropped, SamplingAllocator, Totals, snapshot};
use workspace_tests::{check_valid, client::get, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

static IS_OVER: AtomicBool = AtomicBool::new(false);
static THREADS: AtomicU64 = AtomicU64::new(0);
static LIBRARIES: AtomicU64 = AtomicU64::new(0);
static CHILDREN: AtomicU64 = AtomicU64::new(0);

/// Sizes that nothing else here has, each alone in its size class: so the profile tells of them apart.
static COUNTED: [Counted; 3] = [Counted::new(12_000), Counted::new(20_000), Counted::new(200_000)];
const READ_EVERY: Duration = Duration::from_secs(10);

/// The truth about blocks of one size.
struct Counted {
    bytes: usize,
    allocated: AtomicI64,
    live: AtomicI64,
}

impl Counted {
    const fn new(bytes: usize) -> Counted {
        Counted { bytes, allocated: AtomicI64::new(0), live: AtomicI64::new(0) }
    }

    fn allocate(&'static self) -> Block {
        self.allocated.fetch_add(1, Relaxed);
        self.live.fetch_add(1, Relaxed);
        Block { counted: self, _bytes: black_box(Vec::with_capacity(self.bytes)) }
    }

    /// What the profile says of blocks of this size.
    fn estimated(&self) -> Totals {
        let class = alloc_profiler::size_class(self.bytes);
        let mut sum = Totals::default();
        for size in snapshot().stacks.iter().flat_map(|stack| &stack.by_size) {
            if size.size_class == class {
                sum += size.totals;
            }
        }
        sum
    }

    /// Deviations from the truth, in standard deviations: objects ever allocated, and in use.
    fn deviations(&self) -> [f64; 2] {
        let estimated = self.estimated();
        let probability = -(-(self.bytes as f64) / DEFAULT_SAMPLING_INTERVAL as f64).exp_m1();
        let deviation = |estimate: f64, truth: i64| {
            let truth = truth as f64;
            (estimate - truth) / (truth * (1.0 - probability) / probability).sqrt()
        };
        [
            deviation(estimated.alloc_objects, self.allocated.load(Relaxed)),
            deviation(estimated.inuse_objects, self.live.load(Relaxed)),
        ]
    }
}

struct Block {
    counted: &'static Counted,
    _bytes: Vec<u8>,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.counted.live.fetch_sub(1, Relaxed);
    }
}

fn churn_blocks() {
    let mut kept: VecDeque<Block> = VecDeque::new();
    while !IS_OVER.load(Relaxed) {
        for round in 0..100 {
            kept.push_back(COUNTED[round % COUNTED.len()].allocate());
            if kept.len() > 3000 {
                kept.pop_front();
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    // In use until the truth was compared.
    std::mem::forget(kept);
}

fn churn_threads() {
    while !IS_OVER.load(Relaxed) {
        let thread = thread::spawn(|| black_box((0..100).map(|n| vec![1_u8; n * 10]).collect::<Vec<_>>()));
        thread.join().expect("no panic");
        THREADS.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(5));
    }
}

fn churn_libraries() {
    while !IS_OVER.load(Relaxed) {
        for name in [c"libanl.so.1", c"libutil.so.1", c"libresolv.so.2", c"libnss_compat.so.2"] {
            // SAFETY: a library of the system, which nothing is used of; closed once if it was opened.
            unsafe {
                let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
                if !library.is_null() {
                    LIBRARIES.fetch_add(1, Relaxed);
                    libc::dlclose(library);
                }
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn churn_children() {
    while !IS_OVER.load(Relaxed) {
        // SAFETY: the child allocates, which glibc allows after a fork, and ends without running anything else.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let kept: Vec<Vec<u8>> = (0..1000).map(|_| black_box(vec![1; 10_000])).collect();
            let is_sound = snapshot().totals().inuse_bytes < 100e6 && kept.len() == 1000;
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(!is_sound)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "a child failed");
        CHILDREN.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(200));
    }
}

fn drive_proxy(duration: Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let proxy = proxy::Proxy::start(listen, reader::Variant::Fixed).await.expect("a port");
        load::drive(proxy.address(), 50, duration).await;
    });
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// What a reader sees: profiler memory, stacks, resident memory, in bytes and numbers.
#[derive(Clone, Copy)]
struct Seen {
    at: Duration,
    own_bytes: u64,
    stacks: u64,
    resident_bytes: u64,
}

fn read(address: SocketAddr, number: usize, start: Instant) -> Seen {
    let paths = ["heap", "allocs", "heap?seconds=1", "delta_heap", "heap?symbolize=none", "heap?frames=all"];
    let reply = get(address, &format!("/debug/pprof/{}", paths[number % paths.len()]));
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    scraper_rules(&reply.body);
    check_valid(&reply.body);
    let snapshot = snapshot();
    assert_eq!(snapshot.dropped, Dropped::default());
    let own = snapshot.own_memory;
    Seen {
        at: start.elapsed(),
        own_bytes: own.mapped_bytes,
        stacks: own.stacks,
        resident_bytes: resident_bytes(),
    }
}

fn main() {
    let minutes: f64 = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        eprintln!("soak: how many minutes? For example: soak 5");
        process::exit(2)
    });
    let (start, duration) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let server = pprof_server::serve("127.0.0.1:0").expect("a port");
    let mut seen = Vec::new();
    thread::scope(|scope| {
        let churning = [churn_blocks, churn_blocks, churn_threads, churn_libraries, churn_children];
        churning.into_iter().for_each(|churn| drop(scope.spawn(churn)));
        scope.spawn(move || drive_proxy(duration));
        while start.elapsed() < duration {
            thread::sleep(READ_EVERY.min(duration.saturating_sub(start.elapsed())));
            seen.push(read(server.local_addr(), seen.len(), start));
        }
        IS_OVER.store(true, Relaxed);
    });
    report(&seen);
}

fn report(seen: &[Seen]) {
    for Seen { at, own_bytes, stacks, resident_bytes } in seen {
        let (own, resident) = (own_bytes / 1024, resident_bytes / 1024);
        println!(
            "{:5} s  {own:6} KiB of its own  {stacks:5} stacks  {resident:7} KiB resident",
            at.as_secs()
        );
    }
    let [threads, libraries, children] = [&THREADS, &LIBRARIES, &CHILDREN].map(|count| count.load(Relaxed));
    println!("{threads} threads, {libraries} libraries, {children} children; {} profiles", seen.len());
    let (half, last) = (seen[seen.len() / 2], seen[seen.len() - 1]);
    let grown = last.own_bytes.saturating_sub(half.own_bytes);
    println!("profiler memory grew by {grown} bytes since half-time");
    assert!(grown <= 128 << 10, "the profiler's memory grows");
    assert!(last.resident_bytes < half.resident_bytes + (32 << 20), "the program's memory grows");
    assert_eq!(alloc_profiler::testing::duplicate_inserts(), 0);
    for counted in &COUNTED {
        let [allocated, in_use] = counted.deviations();
        println!(
            "{} B: {allocated:+.2} and {in_use:+.2} standard deviations (allocated, in use)",
            counted.bytes
        );
        assert!(allocated.abs() < 5.0 && in_use.abs() < 5.0, "an estimate is off");
    }
}
