//! Tasks that begin, run and end all the time, while where they wait is read from their memory over and over.
//!
//! Each task says in a table what it waits for, in a way that has nothing to do with its memory: by the number of the line. What is
//! read of a task that was not polled meanwhile must be just that. What is read of one that was polled must be something that
//! such a task waits for at some time. The program prints what it found, and fails if anything was wrong.
//!
//! Arguments: how many reads to make (100 000 if none is given).

#[path = "../cells.rs"]
mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use alloc_profiler::SamplingAllocator;
use alloc_profiler::internal::live_blocks;
use cells::CellRecorder;
use tasks::{Block, Image, Kind, OwnMemory, Task, TypeIndex, Unread};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CellRecorder> = SamplingAllocator::with_allocator(CellRecorder);

/// So many tasks there are at a time.
const TASKS: usize = 512;
/// So many blocks may be told apart by their addresses.
const ADDRESSES: usize = 1 << 16;

/// What one task says of itself.
struct Slot {
    /// The address of its memory; 0 if it is not known, or not any more.
    address: AtomicUsize,
    /// Odd while the task is polled, and another number afterwards.
    polls: AtomicU64,
    /// The lines that it waits at, 16 bits for each, beginning with that of its root.
    lines: AtomicU64,
}

static SLOTS: [Slot; TASKS] =
    [const { Slot { address: AtomicUsize::new(0), polls: AtomicU64::new(0), lines: AtomicU64::new(0) } };
        TASKS];
/// Holds the number of the slot of the task at an address, plus one.
static BY_ADDRESS: [AtomicUsize; ADDRESSES] = [const { AtomicUsize::new(0) }; ADDRESSES];
static IS_OVER: AtomicBool = AtomicBool::new(false);

impl Slot {
    /// Notes that the future at `depth` waits in the line after `line`, and that nothing waits below it yet.
    fn waits_after(&self, depth: u32, line: u32) {
        let above = self.lines.load(SeqCst) & ((1 << (16 * depth)) - 1);
        self.lines.store(above | u64::from(line + 1) << (16 * depth), SeqCst);
    }
}

fn slot_of(address: usize) -> Option<&'static Slot> {
    let number = BY_ADDRESS[address / 128 % ADDRESSES].load(SeqCst).checked_sub(1)?;
    Some(&SLOTS[number]).filter(|slot| slot.address.load(SeqCst) == address)
}

/// A future that says when it is polled.
struct Watched<F> {
    slot: &'static Slot,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.slot.polls.fetch_add(1, SeqCst);
        let polled = self.inner.as_mut().poll(context);
        self.slot.polls.fetch_add(1, SeqCst);
        polled
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        self.slot.address.store(0, SeqCst);
    }
}

async fn lives(slot: &'static Slot, turns: u64) {
    for turn in 0..turns {
        slot.waits_after(0, line!());
        calls(slot, turn).await;
        slot.waits_after(0, line!());
        tokio::task::yield_now().await;
        slot.waits_after(0, line!());
        boxes(slot, 1, turn).await;
        slot.waits_after(0, line!());
        tokio::time::sleep(Duration::from_micros(300 * turn)).await;
    }
}

async fn calls(slot: &'static Slot, turn: u64) {
    let (sender, mut ticks) = mpsc::channel(1);
    let sends = async move {
        tokio::task::yield_now().await;
        sender.send(turn).await
    };
    let handle = tokio::spawn(sends);
    slot.waits_after(1, line!());
    let _tick = ticks.recv().await;
    slot.waits_after(1, line!());
    let _sent = handle.await;
}

fn boxes(slot: &'static Slot, depth: u32, turn: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if turn.is_multiple_of(2) {
            slot.waits_after(depth, line!());
            tokio::time::sleep(Duration::from_micros(200)).await;
        } else {
            slot.waits_after(depth, line!());
            boxes(slot, depth + 1, turn + 1).await;
        }
    })
}

/// Keeps so many tasks alive.
async fn keep_alive(number: usize) {
    let slot = &SLOTS[number];
    let mut turns = number as u64 % 7;
    while !IS_OVER.load(SeqCst) {
        turns = (turns + 3) % 7;
        slot.lines.store(0, SeqCst);
        let (handle, cell) =
            cells::of(|| tokio::spawn(Watched { slot, inner: Box::pin(lives(slot, turns)) }));
        BY_ADDRESS[cell / 128 % ADDRESSES].store(number + 1, SeqCst);
        slot.address.store(cell, SeqCst);
        handle.await.expect("no task panics");
    }
}

/// Returns the lines of this file in a chain, from the root on.
fn lines_of(task: &Task) -> Vec<u32> {
    // What was never polled waits nowhere yet; its place is where it begins.
    let waiting = task.future.chain().into_iter().filter(|frame| frame.kind == Kind::Async);
    let places = waiting.filter_map(|frame| frame.place.as_ref());
    places.filter(|place| place.file.ends_with("churn.rs")).map(|place| place.line).collect()
}

fn lines_in(lines: u64) -> Vec<u32> {
    (0..4).map(|depth| (lines >> (16 * depth)) as u32 & 0xffff).take_while(|line| *line > 0).collect()
}

/// What came of the reads.
#[derive(Default)]
struct Found {
    reads: u64,
    /// What was read was just what the task said.
    right: u64,
    /// The task ran meanwhile, so it waited for one thing or the other.
    moved: u64,
    others: u64,
    unread: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
    /// All that tasks were found to wait for while they ran.
    seen: BTreeSet<Vec<u32>>,
    /// All that tasks said.
    said: BTreeSet<Vec<u32>>,
}

impl Found {
    fn look(&mut self, index: &mut TypeIndex, memory: &OwnMemory, address: usize, bytes: usize) {
        let slot = slot_of(address);
        let say = |slot: &Slot| (slot.polls.load(SeqCst), slot.lines.load(SeqCst), slot.address.load(SeqCst));
        let before = slot.map(say);
        let read = index.read(memory, Block { address: address as u64, bytes: Some(bytes as u64) });
        let after = slot.map(say);
        self.reads += 1;
        let task = match read {
            Ok(task) => task,
            Err(why) => {
                let why = match why {
                    Unread::Busy => "busy",
                    Unread::NotATask => "no task any more",
                    _ => "no types",
                };
                *self.unread.entry(why).or_default() += 1;
                return;
            }
        };
        let lines = lines_of(&task);
        match before.filter(|before| Some(*before) == after && before.0 % 2 == 0 && before.2 == address) {
            Some((_, said, _)) => {
                let said = lines_in(said);
                if said == lines {
                    self.right += 1;
                } else {
                    self.wrong.push(format!("it said {said:?}, and {lines:?} was read"));
                }
                self.said.insert(said);
            }
            None if before.is_some() => {
                self.moved += 1;
                self.seen.insert(lines);
            }
            // It is one of the tasks that say nothing of themselves.
            None => self.others += 1,
        }
    }
}

fn main() -> ExitCode {
    let wanted: u64 = std::env::args()
        .nth(1)
        .map_or(100_000, |text| text.parse().expect("the argument is a number of reads"));
    alloc_profiler::set_sampling_interval(1);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for number in 0..TASKS {
        runtime.spawn(keep_alive(number));
    }
    let mut index = alloc_profiler::unsampled(index);
    let memory = OwnMemory::open().expect("this process can read its own memory");
    let mut found = Found::default();
    while found.reads < wanted && found.wrong.is_empty() {
        let listed = live_blocks(|address, bytes| address % 128 == 0 && bytes >= 128);
        alloc_profiler::unsampled(|| {
            listed.blocks.iter().for_each(|block| found.look(&mut index, &memory, block.address, block.size));
        });
    }
    IS_OVER.store(true, SeqCst);
    drop(runtime);
    report(&found)
}

/// Finds the types in this program's own file.
fn index() -> TypeIndex {
    let file = std::fs::File::open("/proc/self/exe").expect("a program can read its own file");
    let bias = alloc_profiler::program_entry() as u64 - entry_in_file(&file);
    TypeIndex::of_images(vec![Image { debug: Box::new(file), bias, package: None }])
        .expect("it has debug information")
}

/// The address where the program begins, as its file has it.
fn entry_in_file(file: &std::fs::File) -> u64 {
    let mut entry = [0; 8];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut entry, 24).expect("the file has a header");
    u64::from_ne_bytes(entry)
}

fn report(found: &Found) -> ExitCode {
    let Found { reads, right, moved, others, unread, wrong, seen, said } = found;
    println!(
        "churn: {reads} reads: {right} right, {moved} of tasks that ran meanwhile, {others} of other tasks, {unread:?}, {} wrong",
        wrong.len()
    );
    wrong.iter().for_each(|wrong| println!("  wrong: {wrong}"));
    // A chain that breaks off has not been followed to the end, which is not wrong.
    let strange: Vec<_> =
        seen.iter().filter(|seen| !said.iter().any(|said| said.starts_with(seen))).collect();
    println!("churn: {} different chains; {} strange ones: {strange:?}", said.len(), strange.len());
    if wrong.is_empty() && strange.is_empty() && *right > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
