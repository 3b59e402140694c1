//! Labels as a service uses them: two tenants share two workers, and each profile tells what each of them used.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::{self, SamplingAllocator};
use pprof_server::internal::proto::Profile;
use pprof_server::{LabelFuture, LabelSet, Server, labels};
use tokio::runtime::{Builder, Runtime};
use workspace_tests::client::get;
use workspace_tests::{check_valid, decode, go_tool_pprof};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

pprof_server::define_syscall!();

/// A process has one capture at a time, and one set of labels that are kept, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

const BLOCK_BYTES: usize = 512;

/// What a tenant has really used.
#[derive(Default)]
struct Used {
    nanoseconds: AtomicU64,
    bytes: AtomicU64,
}

fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it fills in the time.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The same function works for both tenants, so that only the labels tell them apart.
#[inline(never)]
fn work(parts: u64, used: &Used) -> Vec<Vec<u8>> {
    let start = thread_time();
    for number in 0..parts * 4000 {
        black_box(number.wrapping_mul(number));
    }
    let kept: Vec<Vec<u8>> = (0..parts).map(|_| black_box(vec![1; BLOCK_BYTES])).collect();
    used.nanoseconds.fetch_add(thread_time() - start, Relaxed);
    used.bytes.fetch_add(parts * BLOCK_BYTES as u64, Relaxed);
    kept
}

/// Works until it is told to stop, with a yield after each piece, after which the other worker may go on with it.
async fn serve_tenant(
    parts: u64,
    used: Arc<Used>,
    mut kept: Vec<Vec<u8>>,
    is_over: Arc<AtomicBool>,
) -> Vec<Vec<u8>> {
    while !is_over.load(Relaxed) {
        let blocks = work(parts, &used);
        if kept.len() + blocks.len() <= kept.capacity() {
            kept.extend(blocks);
        }
        tokio::task::yield_now().await;
    }
    kept
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// The text label of that key, for each sample with its values.
fn by_label(profile: &Profile, key: &str, value: usize) -> Vec<(String, f64)> {
    let text = |index: i64| profile.string_table[index as usize].clone();
    let of = |sample: &pprof_server::internal::proto::Sample| {
        let label = sample.label.iter().find(|label| text(label.key_index) == key);
        (label.map_or_else(String::new, |label| text(label.str_index)), sample.value[value] as f64)
    };
    profile.sample.iter().map(of).collect()
}

fn sum(found: &[(String, f64)], label: &str) -> f64 {
    found.iter().filter(|(found, _)| found == label).map(|(_, value)| value).sum()
}

/// CPU time and bytes split between the tenants as they have really used them, which is 3 : 1. Shares are within four standard
/// errors, which chance misses in one of 8000 runs of both.
#[test]
fn two_tenants_on_two_workers_are_told_apart() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    alloc_profiler::set_sampling_interval(8192);
    let server = Server::builder().heap_labels().serve("127.0.0.1:0").unwrap();
    let (runtime, is_over) = (two_workers(), Arc::new(AtomicBool::new(false)));
    let used = [Arc::new(Used::default()), Arc::new(Used::default())];
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (name, parts, used) = [("acme", 3, &used[0]), ("tiny", 1, &used[1])][task % 2];
            let labels = LabelSet::EMPTY.with("tenant", name);
            // What keeps the blocks is nobody's.
            let kept = Vec::with_capacity(1 << 16);
            runtime.spawn(serve_tenant(parts, used.clone(), kept, is_over.clone()).labelled(labels))
        })
        .collect();
    let cpu = get(server.local_addr(), "/debug/pprof/profile?seconds=2&hz=250").body;
    is_over.store(true, Relaxed);
    let kept: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
    let heap = get(server.local_addr(), "/debug/pprof/heap").body;
    drop(kept);

    let share = |which: fn(&Used) -> &AtomicU64| {
        let [three, one] = [0, 1].map(|tenant| which(&used[tenant]).load(Relaxed) as f64);
        three / (three + one)
    };
    let of_cpu = by_label(&decode(&cpu), "tenant", 0);
    let (three, one) = (sum(&of_cpu, "acme"), sum(&of_cpu, "tiny"));
    let truth = share(|used| &used.nanoseconds);
    // What a piece costs beside its parts moves it a little.
    assert!((0.65..0.85).contains(&truth) && three + one > 100.0, "{truth}, {three}, {one}");
    let error = (truth * (1.0 - truth) / (three + one)).sqrt();
    assert!((three / (three + one) - truth).abs() < 4.0 * error, "CPU: {three} and {one} for {truth}");

    let of_heap = by_label(&decode(&heap), "tenant", 1);
    let (three, one) = (sum(&of_heap, "acme"), sum(&of_heap, "tiny"));
    let truth = share(|used| &used.bytes);
    // A sample of a small block stands for one interval.
    let samples = (three + one) / 8192.0;
    let error = (truth * (1.0 - truth) / samples).sqrt();
    assert!(samples > 500.0, "{samples}");
    assert!((three / (three + one) - truth).abs() < 4.0 * error, "bytes: {three} and {one} for {truth}");

    check_valid(&cpu);
    check_valid(&heap);
    read_by_go(&cpu, &heap);
}

/// Go's tool can filter by the labels, and group by them.
fn read_by_go(cpu: &[u8], heap: &[u8]) {
    let focused = go_tool_pprof(&["-top", "-tagfocus=tenant=acme"], cpu);
    assert!(focused.contains("labels::work"), "{focused}");
    let ignored = go_tool_pprof(&["-top", "-tagignore=tenant=."], cpu);
    assert!(!ignored.contains("labels::work"), "{ignored}");
    let grouped = go_tool_pprof(&["-top", "-cum", "-tagroot=tenant", "-sample_index=alloc_space"], heap);
    let line = |name: &str| grouped.lines().any(|line| line.trim_end().ends_with(name));
    assert!(line(" acme") && line(" tiny"), "{grouped}");
    let tags = go_tool_pprof(&["-tags"], heap);
    assert!(tags.contains("tenant:") && tags.contains("acme"), "{tags}");
}

/// Blocks its worker for so long, and returns how long that was.
#[inline(never)]
fn wait(time: Duration) -> Duration {
    let start = Instant::now();
    let never = Mutex::new(());
    drop(black_box(Condvar::new().wait_timeout_while(never.lock().unwrap(), time, |()| true)));
    start.elapsed()
}

/// The time that workers are blocked splits between the tenants as it did, which is 3 : 1, though waits are sampled at a rate above
/// their length. Each tenant's time is within four standard errors, which chance misses in one of 8000 runs of both.
#[test]
fn the_time_that_tenants_block_workers_is_told_apart() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    const RATE: Duration = Duration::from_millis(30);
    pprof_server::set_block_rate(Some(RATE)).unwrap();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let runtime = two_workers();
    let end = Instant::now() + Duration::from_secs(3);
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (name, time) = [("acme", 9), ("tiny", 3)][task % 2];
            let time = Duration::from_millis(time);
            let serve = async move {
                let mut waited = Vec::new();
                while Instant::now() < end {
                    waited.push(wait(time));
                    tokio::task::yield_now().await;
                }
                (name, waited)
            };
            runtime.spawn(serve.labelled(LabelSet::EMPTY.with("tenant", name)))
        })
        .collect();
    let waited: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
    pprof_server::set_block_rate(None).unwrap();
    let block = get(server.local_addr(), "/debug/pprof/block").body;
    check_valid(&block);
    let told = by_label(&decode(&block), "tenant", 1);
    let mut sums = Vec::new();
    for name in ["acme", "tiny"] {
        let waits = waited.iter().filter(|(of, _)| *of == name).flat_map(|(_, waited)| waited);
        let (mut truth, mut variance) = (0.0, 0.0);
        for wait in waits.map(Duration::as_secs_f64) {
            truth += wait;
            // A wait is sampled with a probability in proportion to its time, and stands for the rate then.
            variance += wait * (RATE.as_secs_f64() - wait).max(0.0);
        }
        let told = sum(&told, name) / 1e9;
        // What the call takes beside the wait itself is no part of it.
        let beside = 0.02 * truth;
        assert!((told - truth).abs() < 4.0 * variance.sqrt() + beside, "{name}: {told} of {truth}");
        sums.push(truth);
    }
    // Where other programs want the processors, each wait is longer than it was meant to be.
    assert!(sums[0] > 1.2 * sums[1], "{sums:?}");
    // The first row is what the task does, and in a stack of `pprof` what it waits for, as Go has it.
    let text = get(server.local_addr(), "/debug/pprof/block?format=text").text().to_owned();
    assert!(text.contains("labels::wait") && !text.contains("capture::"), "{text}");
    let top = go_tool_pprof(&["-top"], &block);
    assert!(top.contains("condvar") && !top.contains("capture::") && !top.contains("syscall"), "{top}");
    assert!(text.contains("one for each 30.0 ms of"), "{text}");
}

/// Labels of scopes are on threads that wait, and on what these do as time goes by.
#[test]
fn threads_have_their_labels() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let (told, has_told) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _labels = labels! { "job" => "sweep", "shard" => 3 };
        told.send(()).unwrap();
        let _ = ends.recv_timeout(Duration::from_secs(100));
    });
    has_told.recv().unwrap();
    for page in ["/debug/pprof/goroutine", "/debug/fgprof?seconds=1"] {
        let profile = decode(&get(server.local_addr(), page).body);
        for (key, value) in [("job", "sweep"), ("shard", "3")] {
            let found = by_label(&profile, key, 0);
            assert!(sum(&found, value) >= 1.0, "{page}: {key}");
        }
    }
    let text = get(server.local_addr(), "/debug/pprof/goroutine?debug=1").text().to_owned();
    assert!(text.contains(r#""job":"sweep""#), "{text}");
    drop(end);
    thread.join().unwrap();
}
