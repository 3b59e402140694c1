//! Tasks that wait, of several kinds. Each kind's function says at which line that is.

use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};

use crate::argument;

/// A frame has a function's name and a line.
pub type Frame = (String, u32);

/// This holds what a tool says of one task, or of some that are alike.
pub struct Seen {
    /// It stands for so many tasks.
    pub count: f64,
    /// These are all frames that the tool tells, in any order.
    pub frames: Vec<Frame>,
}

/// Finds tasks.
pub trait Finder {
    /// Returns what it says of all tasks.
    fn find(&mut self) -> impl Future<Output = Vec<Seen>>;
}

/// Reads text that has a function and its place in each line: `name at …/tasks.rs:12:5`.
pub fn frames_in(text: &str) -> Vec<Frame> {
    let frame = |line: &str| {
        let (name, place) = line.rsplit_once(" at ")?;
        let mut place = place.trim().rsplitn(3, ':');
        let (_, line) = (place.next()?, place.next()?.parse().ok()?);
        Some((name.trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned(), line))
    };
    text.lines().filter_map(frame).collect()
}

/// Kinds of tasks: the name of the function, and the line where it waits.
static KINDS: StdMutex<Vec<(&str, u32)>> = StdMutex::new(Vec::new());

fn waits_in(kind: &'static str, line: u32) {
    let mut kinds = KINDS.lock().expect("no panic");
    if !kinds.contains(&(kind, line)) {
        kinds.push((kind, line));
    }
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn receives(mut receiver: mpsc::Receiver<u32>) {
    waits_in("receives", line!() + 1);
    receiver.recv().await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn is_answered(receiver: oneshot::Receiver<u32>) {
    waits_in("is_answered", line!() + 1);
    let _ = receiver.await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn is_notified(notify: Arc<Notify>) {
    waits_in("is_notified", line!() + 1);
    notify.notified().await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn takes_a_permit(semaphore: Arc<Semaphore>) {
    waits_in("takes_a_permit", line!() + 1);
    let _permit = semaphore.acquire().await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn takes_a_lock(mutex: Arc<Mutex<u32>>) {
    waits_in("takes_a_lock", line!() + 1);
    let _guard = mutex.lock().await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn sleeps() {
    waits_in("sleeps", line!() + 1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn joins() {
    let other = tokio::spawn(std::future::pending::<()>());
    waits_in("joins", line!() + 1);
    let _ = other.await;
}

#[cfg_attr(feature = "framed", async_backtrace::framed)]
async fn calls_another(receiver: mpsc::Receiver<u32>) {
    waits_in("calls_another", line!() + 1);
    Box::pin(receives(receiver)).await;
}

/// Has so many tasks of each kind wait, for ever.
async fn begin(count: usize) {
    let (notify, semaphore, mutex) =
        (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(0)));
    std::mem::forget(mutex.clone().lock_owned().await);
    for _ in 0..count {
        let (sender, receiver) = mpsc::channel(1);
        std::mem::forget(sender);
        tokio::spawn(receives(receiver));
        let (sender, receiver) = oneshot::channel();
        std::mem::forget(sender);
        tokio::spawn(is_answered(receiver));
        tokio::spawn(is_notified(notify.clone()));
        tokio::spawn(takes_a_permit(semaphore.clone()));
        tokio::spawn(takes_a_lock(mutex.clone()));
        tokio::spawn(sleeps());
        tokio::spawn(joins());
        let (sender, receiver) = mpsc::channel(1);
        std::mem::forget(sender);
        tokio::spawn(calls_another(receiver));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Prints how many tasks of each kind have the line where they wait, and how many their function.
fn print(count: usize, seen: &[Seen]) {
    let sum = |is_it: &dyn Fn(&[Frame]) -> bool| -> f64 {
        seen.iter().filter(|seen| is_it(&seen.frames)).map(|seen| seen.count).sum()
    };
    let is_in = |(name, _): &Frame, kind: &str| name.split("::").any(|part| part == kind);
    let kinds = KINDS.lock().expect("no panic");
    for &(kind, line) in kinds.iter() {
        // `receives` is what `calls_another` calls, so it has twice as many.
        let there = if kind == "receives" { 2 * count } else { count };
        let by_line = sum(&|frames| frames.iter().any(|frame| frame.1 == line && is_in(frame, kind)));
        let by_function = sum(&|frames| frames.iter().any(|frame| is_in(frame, kind)));
        println!("{kind}\t{there}\t{by_line:.0}\t{by_function:.0}");
    }
    println!("all that it lists\t\t{:.0}", sum(&|_| true));
}

/// Has tasks wait as the arguments say, and asks the tool three times.
pub fn main(mut tool: impl Finder) {
    assert_eq!(argument(1).as_deref(), Some("tasks"), "only tasks are known here");
    let count = argument(2).map_or(125, |number| number.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        begin(count).await;
        for _ in 0..3 {
            let start = Instant::now();
            let seen = tool.find().await;
            println!("took\t{:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            print(count, &seen);
        }
    });
    // Tasks that wait for ever are not waited for.
    std::process::exit(0);
}
