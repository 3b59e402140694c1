//! Hours of a service in minutes: the demo's proxy under load, beside threads, libraries and children that come and
//! go, and somebody who reads a profile every ten seconds. See `scripts/long-soak.sh`; the arguments are minutes, and
//! `--without` for the same program with profiling off, which tells how much of the rest is the profiler's doing.
//!
//! At the end the profiler has no more memory than it had at half-time, nothing was dropped, every profile was valid,
//! and what it says of blocks that were counted exactly lies within five standard deviations of the truth.
//! Each line says whose the resident memory is: the profiler's own, in blocks of the C library's `malloc`, free there but
//! kept, mapped files, and whatever else there is, such as stacks of threads.

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
        // Written to: a page that was not is resident only once another block's bookkeeping falls on it, so that the
        // program would seem to grow for minutes.
        Block { counted: self, _bytes: black_box(vec![1; self.bytes]) }
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

    /// How far estimates are from the truth, in standard deviations: of the objects ever allocated, and of those in
    /// use.
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

/// Returns how many bytes are resident: all of them, and those of mapped files.
fn resident_bytes() -> [u64; 2] {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let mut fields = statm.split(' ').skip(1).map(|pages| pages.parse::<u64>().expect("a number") * 4096);
    [(); 2].map(|()| fields.next().expect("resident and shared pages"))
}

/// What a reader sees, in bytes and numbers.
#[derive(Clone, Copy)]
struct Seen {
    at: Duration,
    own_bytes: u64,
    stacks: u64,
    resident_bytes: u64,
    file_bytes: u64,
    /// In blocks that C's `malloc` gave out, whoever asked for them, and free in its arenas, resident or not.
    inuse_bytes: u64,
    free_bytes: u64,
}

impl Seen {
    fn now(start: Instant) -> Seen {
        let own = snapshot().own_memory;
        // SAFETY: takes no pointer, and may be called at any time from any thread.
        let malloc = unsafe { libc::mallinfo2() };
        let [resident_bytes, file_bytes] = resident_bytes();
        Seen {
            at: start.elapsed(),
            own_bytes: own.mapped_bytes,
            stacks: own.stacks,
            resident_bytes,
            file_bytes,
            inuse_bytes: (malloc.uordblks + malloc.hblkhd) as u64,
            free_bytes: malloc.fordblks as u64,
        }
    }
}

fn read(address: SocketAddr, number: usize, start: Instant) -> Seen {
    let paths = ["heap", "allocs", "heap?seconds=1", "delta_heap", "heap?symbolize=none", "heap?frames=all"];
    let reply = get(address, &format!("/debug/pprof/{}", paths[number % paths.len()]));
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    scraper_rules(&reply.body);
    check_valid(&reply.body);
    assert_eq!(snapshot().dropped, Dropped::default());
    Seen::now(start)
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let minutes = arguments.first().and_then(|text| text.parse::<f64>().ok());
    let is_off = arguments.get(1).is_some_and(|text| text == "--without");
    let (Some(minutes), true) = (minutes, arguments.len() == 1 + usize::from(is_off)) else {
        eprintln!("soak: how many minutes? For example: soak 5, or soak 5 --without");
        process::exit(2)
    };
    if is_off {
        alloc_profiler::set_sampling_interval(0);
    }
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
    if !is_off {
        compare_with_truth();
    }
}

fn report(seen: &[Seen]) {
    println!("MiB    in all =    own +  in use +    free +  files +   rest");
    for seen in seen {
        println!("{:4} s {}, {} stacks", seen.at.as_secs(), parts(seen), seen.stacks);
    }
    let [threads, libraries, children] = [&THREADS, &LIBRARIES, &CHILDREN].map(|count| count.load(Relaxed));
    println!("{threads} threads, {libraries} libraries, {children} children; {} profiles", seen.len());
    let (half, last) = (seen[seen.len() / 2], seen[seen.len() - 1]);
    let grown = last.own_bytes.saturating_sub(half.own_bytes);
    println!("profiler memory grew by {grown} bytes since half-time");
    assert!(grown <= 128 << 10, "the profiler's memory grows");
    assert!(last.resident_bytes < half.resident_bytes + (32 << 20), "the program's memory grows");
    assert_eq!(alloc_profiler::testing::duplicate_inserts(), 0);
}

/// Where the resident bytes are, in MiB. Of what is free some is not resident: then the rest is below zero.
fn parts(seen: &Seen) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let [all, own, inuse, free, files] =
        [seen.resident_bytes, seen.own_bytes, seen.inuse_bytes, seen.free_bytes, seen.file_bytes].map(mib);
    let rest = all - own - inuse - free - files;
    format!("{all:7.2} = {own:6.2} + {inuse:7.2} + {free:7.2} + {files:6.2} + {rest:6.2}")
}

fn compare_with_truth() {
    for counted in &COUNTED {
        let [allocated, in_use] = counted.deviations();
        println!(
            "{} B: {allocated:+.2} and {in_use:+.2} standard deviations (allocated, in use)",
            counted.bytes
        );
        assert!(allocated.abs() < 5.0 && in_use.abs() < 5.0, "an estimate is off");
    }
}
