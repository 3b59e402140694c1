//! A task that runs while it is read is never shown half as it was and half as it is.
//!
//! The tasks are on this very thread, so they run exactly when the test lets them: before each single read of memory, once.

mod program;

use program::{Program, line_of};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use tasks::{Block, Memory, OwnMemory, TypeIndex, Unread, Unreadable};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, Receiver, Sender};

fn first(receiver: &mut Receiver<u8>) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        receiver.recv().await; // waits: first
        receiver.recv().await; // waits: first again
    })
}

fn second(receiver: &mut Receiver<u8>) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        receiver.recv().await; // waits: second
    })
}

async fn moves(mut receiver: Receiver<u8>) {
    first(&mut receiver).await; // waits: in first
    second(&mut receiver).await; // waits: in second
}

const SOURCE: &str = include_str!("torn.rs");

/// Lets the task go on before one of the reads.
struct Meddling<'a> {
    memory: &'a OwnMemory,
    reads: RefCell<Vec<u64>>,
    before: usize,
    go_on: &'a dyn Fn(),
}

impl Memory for Meddling<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let count = self.reads.borrow().len();
        if count == self.before {
            (self.go_on)();
        }
        self.reads.borrow_mut().push(address);
        self.memory.read(address, bytes)
    }
}

/// A task that waits, and what makes it go on.
struct Waiting {
    runtime: Runtime,
    set: tokio::task::LocalSet,
    sender: Sender<u8>,
    block: Block,
}

impl Waiting {
    fn new(program: &Program) -> Waiting {
        let runtime = Builder::new_current_thread().build().unwrap();
        let set = tokio::task::LocalSet::new();
        let (sender, receiver) = mpsc::channel(4);
        let handle = set.spawn_local(moves(receiver));
        let waiting = Waiting { runtime, set, sender, block: program.block(&handle) };
        waiting.run();
        waiting
    }

    fn run(&self) {
        self.set.block_on(&self.runtime, async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn go_on(&self, steps: usize) {
        for _ in 0..steps {
            self.sender.try_send(1).unwrap();
        }
        self.run();
    }
}

fn lines(index: &mut TypeIndex, memory: &dyn Memory, block: Block) -> Result<Vec<u32>, Unread> {
    let task = index.read(memory, block)?;
    let places = task.future.chain().into_iter().filter_map(|frame| frame.place.clone());
    Ok(places.filter(|place| place.file.ends_with("torn.rs")).map(|place| place.line).collect())
}

#[test]
fn no_read_is_half_old_and_half_new() {
    let Program { memory, mut index, .. } = Program::new();
    let program = Program::new();
    let chain = |marks: [&str; 2]| marks.map(|mark| line_of(SOURCE, mark)).to_vec();
    let old = chain(["in first", "first"]);
    for (steps, new) in [(1, chain(["in first", "first again"])), (2, chain(["in second", "second"]))] {
        let undisturbed = Waiting::new(&program);
        let watched =
            Meddling { memory: &memory, reads: RefCell::default(), before: usize::MAX, go_on: &|| () };
        assert_eq!(lines(&mut index, &watched, undisturbed.block), Ok(old.clone()));
        let reads = watched.reads.into_inner();
        // The word that says what the task is doing is the first of its block, and is read before and after.
        let state_after = reads.iter().rposition(|&address| address == undisturbed.block.address).unwrap();
        let busy = Cell::new(0);
        for before in 0..reads.len() {
            let waiting = Waiting::new(&program);
            let go_on = || waiting.go_on(steps);
            let meddling = Meddling { memory: &memory, reads: RefCell::default(), before, go_on: &go_on };
            match lines(&mut index, &meddling, waiting.block) {
                Err(error) => {
                    assert_eq!(error, Unread::Busy);
                    busy.set(busy.get() + 1);
                }
                Ok(found) if found == old => assert!(before >= state_after, "{before} of {reads:x?}"),
                Ok(found) => assert_eq!(found, new, "{before} of {}", reads.len()),
            }
        }
        assert!(busy.get() > 0);
    }
}
