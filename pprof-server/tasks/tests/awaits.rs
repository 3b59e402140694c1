//! Tasks of this very program wait at lines that carry a mark, and are found to wait there.
//!
//! A mark is a comment: `waits:` with a name, at the end of the line.

mod program;
#[path = "program/waits.rs"]
mod waits;

use program::{Program, line_of};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;
use tasks::{AwaitFrame, Block, Grade, Kind, State, Unread};
use tokio::sync::mpsc;

const LONG: Duration = Duration::from_secs(86_400);

async fn leaf(receiver: &mut mpsc::Receiver<u64>) -> u64 {
    let mut sum = 0;
    loop {
        let number = receiver.recv().await; // waits: leaf
        let Some(number) = number else { return sum };
        sum += number;
    }
}

async fn reader(mut receiver: mpsc::Receiver<u64>) -> u64 {
    leaf(&mut receiver).await + 1 // waits: reader
}

fn nested(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            tokio::time::sleep(LONG).await; // waits: innermost
            return 1;
        }
        nested(depth - 1).await + 1 // waits: nested
    })
}

async fn selects(mut receiver: mpsc::Receiver<u64>) -> u64 {
    tokio::select! { // waits: selects
        sum = leaf(&mut receiver) => sum,
        () = tokio::time::sleep(LONG) => 0,
        depth = nested(0) => u64::from(depth),
    }
}

async fn joins(mut receiver: mpsc::Receiver<u64>) -> u64 {
    let (sum, (), depth) = tokio::join!(leaf(&mut receiver), ready(), nested(0)); // waits: joins
    sum + u64::from(depth)
}

async fn ready() {}

async fn limited(receiver: mpsc::Receiver<u64>) -> bool {
    tokio::time::timeout(LONG, reader(receiver)).await.is_ok() // waits: limited
}

/// The runtime boxes futures of this size before it makes tasks of them.
async fn large(receiver: mpsc::Receiver<u64>) -> u64 {
    let mut bytes = [1_u8; 40_000];
    let sum = reader(receiver).await; // waits: large
    bytes[(sum % 2) as usize] = 2;
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

/// A future that is written by hand.
struct ByHand<F> {
    polls: u64,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for ByHand<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<F::Output> {
        self.polls += 1;
        self.future.as_mut().poll(context)
    }
}

async fn generic<F: Future>(future: F) -> F::Output {
    let future = pin!(future);
    future.await // waits: generic
}

/// Returns the marked lines of all futures in `frame`, each with how deep it is.
fn tree(frame: &AwaitFrame, depth: usize, found: &mut Vec<(usize, u32)>) {
    let own = frame.place.as_ref().filter(|place| place.file.ends_with("tests/awaits.rs"));
    found.extend(own.map(|place| (depth, place.line)));
    frame.children.iter().for_each(|child| tree(child, depth + usize::from(own.is_some()), found));
}

/// Spawns `future`, waits until it waits, and compares the lines. Branches of one future have the same depth.
fn assert_waits<F: Future<Output: Send> + Send + 'static>(future: F, marks: &[(usize, &str)]) {
    let mut program = Program::new();
    let handle = program.runtime.spawn(future);
    let task = program.read(&handle);
    let mut found = Vec::new();
    tree(&task.future, 0, &mut found);
    let expected: Vec<_> = marks.iter().map(|&(depth, mark)| (depth, line_of(SOURCE, mark))).collect();
    assert_eq!(found, expected, "{task:#?}");
    assert_eq!((task.state, task.is_cancelled), (State::Suspended, false));
    handle.abort();
}

const SOURCE: &str = include_str!("awaits.rs");

#[test]
fn functions_wait_in_one_another() {
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(reader(receiver), &[(0, "reader"), (1, "leaf")]);
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(generic(reader(receiver)), &[(0, "generic"), (1, "reader"), (2, "leaf")]);
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(limited(receiver), &[(0, "limited"), (1, "reader"), (2, "leaf")]);
}

#[test]
fn boxes_are_opened() {
    assert_waits(nested(2), &[(0, "nested"), (1, "nested"), (2, "innermost")]);
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(large(receiver), &[(0, "large"), (1, "reader"), (2, "leaf")]);
    let (_sender, receiver) = mpsc::channel(1);
    let by_hand = ByHand { polls: 0, future: Box::pin(reader(receiver)) };
    assert_waits(by_hand, &[(0, "reader"), (1, "leaf")]);
}

#[test]
fn branches_stand_side_by_side() {
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(selects(receiver), &[(0, "selects"), (1, "leaf"), (1, "innermost")]);
    let (_sender, receiver) = mpsc::channel(1);
    assert_waits(joins(receiver), &[(0, "joins"), (1, "leaf"), (1, "innermost")]);
}

#[test]
fn a_task_says_what_it_is() {
    let mut program = Program::new();
    let (_sender, receiver) = mpsc::channel(1);
    let handle = program.runtime.spawn(reader(receiver));
    let task = program.read(&handle);
    assert_eq!(&*task.future.function, "awaits::reader");
    let begins = task.future.begins.as_ref().unwrap();
    assert_eq!(begins.line, line_of(SOURCE, "reader") - 1);
    let last = *task.future.chain().last().unwrap();
    assert!(last.function.starts_with("core::future::poll_fn::PollFn<tokio::sync::mpsc::"), "{last:?}");
    assert_eq!((last.kind, &last.place, last.end), (Kind::Other, &None, None));
    assert_eq!((program.index.grade(), program.index.is_unfinished()), (Grade::Full, false));
    // A block of another size is another block.
    let block = Block { bytes: Some(8), ..program.block(&handle) };
    assert_eq!(program.index.read(&program.memory, block), Err(Unread::NotATask));
}

#[test]
fn a_task_that_runs_is_busy() {
    let mut program = Program::new();
    let (told, tell) = std::sync::mpsc::channel::<()>();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let handle = program.runtime.spawn(async move {
        told.send(()).unwrap();
        let _ = stopped.recv();
    });
    tell.recv().unwrap();
    let block = program.block(&handle);
    for _ in 0..100 {
        assert_eq!(program.index.read(&program.memory, block), Err(Unread::Busy));
    }
    stop.send(()).unwrap();
    program.runtime.block_on(async {
        while !handle.is_finished() {
            tokio::task::yield_now().await
        }
    });
    let task = program.index.read(&program.memory, block).unwrap();
    assert_eq!(task.state, State::Complete);
    assert_eq!(&*task.future.function, "awaits::a_task_that_runs_is_busy::{async_block#0}");
    assert_eq!(task.future.end, None);
}

#[test]
fn a_task_may_wait_to_run_for_the_first_time() {
    let mut program = Program::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.spawn(ready());
    let task = program.index.read(&program.memory, program.block(&handle)).unwrap();
    assert_eq!((task.state, task.future.kind), (State::Scheduled, Kind::Unresumed));
    handle.abort();
    let task = program.index.read(&program.memory, program.block(&handle)).unwrap();
    assert!(task.is_cancelled);
}

#[test]
fn tasks_of_a_thread_are_read() {
    let mut program = Program::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let set = tokio::task::LocalSet::new();
    let (sender, receiver) = mpsc::channel(1);
    let handle = set.spawn_local(reader(receiver));
    set.block_on(&runtime, async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    let task = program.read(&handle);
    let mut found = Vec::new();
    tree(&task.future, 0, &mut found);
    assert_eq!(found, [(0, line_of(SOURCE, "reader")), (1, line_of(SOURCE, "leaf"))]);
    drop(sender);
}
