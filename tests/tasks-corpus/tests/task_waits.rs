//! `block?seconds=N` tells how long tasks have waited for locks of their runtime, by the line of the `.await`.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

#[path = "../src/bin/leaks/client.rs"]
mod client;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use pprof_server::internal::proto::Profile;
use prost::Message;
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc};

#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();

static MUTEX: Mutex<()> = Mutex::const_new(());
static TURNS: Mutex<()> = Mutex::const_new(());
static LOCK: RwLock<()> = RwLock::const_new(());
static SEMAPHORE: Semaphore = Semaphore::const_new(0);

const SECONDS: u32 = 3;
/// So many tasks there are, and so many of them the server reads in one look.
const TASKS: f64 = 168.0;
const READ_IN_A_LOOK: f64 = 100.0;

async fn waits_for_the_mutex() {
    drop(MUTEX.lock().await);
}

/// This adds up how long those who take turns have waited.
static TURNS_WAITED_US: AtomicU64 = AtomicU64::new(0);

/// One of those who do this holds the lock at any time, and the others wait. Where other programs want the processors, it waits too, until a
/// worker goes on with it.
async fn takes_turns() {
    loop {
        let begun = Instant::now();
        let held = TURNS.lock().await;
        TURNS_WAITED_US.fetch_add(begun.elapsed().as_micros() as u64, Relaxed);
        tokio::time::sleep(Duration::from_millis(7)).await;
        drop(held);
    }
}

async fn waits_to_write() {
    drop(LOCK.write().await);
}

async fn waits_for_a_permit() {
    drop(SEMAPHORE.acquire().await);
}

/// It waits for work, and for no lock.
async fn is_an_actor(mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
}

/// What `block` says of one function.
#[derive(Debug, Default, PartialEq)]
struct Row {
    contentions: i64,
    delay_seconds: f64,
    /// What the label `waits` says, where `kind` is `task`.
    waits: String,
}

/// Returns the rows of `block` by the outermost function of this program.
fn block(address: SocketAddr) -> (BTreeMap<String, Row>, Vec<String>) {
    let answer = client::get_bytes(address, &format!("/debug/pprof/block?seconds={SECONDS}"));
    let mut bytes = Vec::new();
    GzDecoder::new(&answer[..]).read_to_end(&mut bytes).expect("it is gzipped");
    let profile = Profile::decode(&bytes[..]).expect("a profile");
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let mut rows = BTreeMap::<String, Row>::new();
    for sample in &profile.sample {
        let lines = sample.location_id.iter().flat_map(|&id| &profile.location[id as usize - 1].line);
        let names = lines.map(|line| text(profile.function[line.function_id as usize - 1].name_index));
        let Some(name) = names.rev().find(|name| name.starts_with("task_waits::")) else { continue };
        let label = |key| {
            sample.label.iter().find(|label| text(label.key_index) == key).map(|label| text(label.str_index))
        };
        let row = rows.entry(name["task_waits::".len()..].to_owned()).or_default();
        assert_eq!(label("kind"), Some("task"), "{name}");
        row.waits = label("waits").unwrap_or_default().to_owned();
        row.contentions += sample.value[0];
        row.delay_seconds += sample.value[1] as f64 / 1e9;
    }
    let comments = profile.comment_index.iter().map(|&index| text(index).to_owned()).collect();
    (rows, comments)
}

#[test]
fn delay_of_tasks_is_that_of_the_window_times_those_who_wait() {
    alloc_profiler::set_sampling_interval(1);
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _mutex = MUTEX.try_lock().unwrap();
    let _read = LOCK.try_read().unwrap();
    let mut senders = Vec::new();
    let asked = std::thread::spawn({
        let address = server.local_addr();
        move || block(address)
    });
    std::thread::sleep(Duration::from_millis(1000));
    for _ in 0..5 {
        runtime.spawn(waits_for_the_mutex());
        runtime.spawn(takes_turns());
        let (sender, receiver) = mpsc::channel(1);
        senders.push(sender);
        runtime.spawn(is_an_actor(receiver));
    }
    (0..3).for_each(|_| drop(runtime.spawn(waits_to_write())));
    (0..150).for_each(|_| drop(runtime.spawn(waits_for_a_permit())));
    // Who asked before there were any tasks is told that.
    let (rows, comments) = asked.join().unwrap();
    assert!(rows.is_empty() && comments.iter().any(|comment| comment.contains("ask again")), "{comments:?}");

    // Waits of tasks are no part of `mutex`, and it says nothing of them.
    let mutex = client::get(server.local_addr(), "/debug/pprof/mutex?seconds=1&format=text");
    assert!(mutex.contains("mutex: ") && !mutex.contains("waits of tasks"), "{mutex}");

    let (begun, waited_us) = (Instant::now(), TURNS_WAITED_US.load(Relaxed));
    let (rows, comments) = block(server.local_addr());
    let waited_us = TURNS_WAITED_US.load(Relaxed) - waited_us;
    let waiting_turns = waited_us as f64 / 1e6 / begun.elapsed().as_secs_f64();
    assert!((3.0..5.1).contains(&waiting_turns), "{waiting_turns}");
    // There are more tasks than are read in one look, so they take turns. Each of them is read as often as all others, or once more, and where
    // a busy machine leaves time for few looks, one more is much.
    let looks = comments
        .iter()
        .find_map(|comment| comment.split_once(" looks;")?.0.rsplit(' ').next()?.parse::<f64>().ok());
    let looks = looks.unwrap_or_else(|| panic!("no number of looks: {comments:?}"));
    let one_more_read = (TASKS / READ_IN_A_LOOK) / looks;
    let waiting = [
        ("waits_for_the_mutex", "mutex", 5.0),
        ("takes_turns", "mutex", waiting_turns),
        ("waits_to_write", "rwlock", 3.0),
        ("waits_for_a_permit", "semaphore", 150.0),
    ];
    for (function, waits, tasks) in waiting {
        let row = rows.get(function).unwrap_or_else(|| panic!("{function}: {rows:?} {comments:?}"));
        let expected = tasks * f64::from(SECONDS);
        // Some of so many are read in each look.
        let tolerance = 0.2 + if tasks > READ_IN_A_LOOK { 0.0 } else { one_more_read };
        let error = row.delay_seconds / expected - 1.0;
        assert!(error.abs() < tolerance, "{function}: {row:?}, expected {expected} s, {looks} looks");
        assert_eq!(row.waits, waits, "{function}");
        assert!(row.contentions as f64 >= tasks.floor(), "{function}: {row:?}");
    }
    assert_eq!(rows.len(), waiting.len(), "{rows:?}");
    assert!(
        comments.iter().any(|comment| comment.contains("of tasks that waited for locks of their runtime")),
        "{comments:?}"
    );
    drop(senders);
    runtime.shutdown_background();
}
