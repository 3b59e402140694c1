//! This program, as the crate sees it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs::File;
use std::time::Duration;
use tasks::{Block, Image, Kind, Memory, OwnMemory, State, Task, TypeIndex, Unread};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A runtime, and what reads its tasks.
pub(crate) struct Program {
    pub(crate) runtime: Runtime,
    pub(crate) memory: OwnMemory,
    pub(crate) index: TypeIndex,
}

impl Program {
    pub(crate) fn new() -> Program {
        let debug = Box::new(File::open("/proc/self/exe").unwrap());
        Program {
            runtime: Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            memory: OwnMemory::open().unwrap(),
            // A busy machine may take long for it.
            index: TypeIndex::of_images_within(
                vec![Image { debug, bias: bias(), package: None }],
                Duration::from_secs(600),
            )
            .unwrap(),
        }
    }

    /// Returns the block of a task: its handle is the address.
    pub(crate) fn block<T>(&self, handle: &JoinHandle<T>) -> Block {
        assert_eq!(size_of::<JoinHandle<T>>(), 8);
        let mut word = [0; 8];
        self.memory.read(&raw const *handle as u64, &mut word).unwrap();
        Block { address: u64::from_ne_bytes(word), bytes: None }
    }

    /// Reads a task as soon as it waits.
    pub(crate) fn read<T>(&mut self, handle: &JoinHandle<T>) -> Task {
        for _ in 0..60_000 {
            match self.index.read(&self.memory, self.block(handle)) {
                Ok(task) if task.state == State::Suspended && task.future.kind != Kind::Unresumed => {
                    return task;
                }
                Ok(_) | Err(Unread::Busy) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it does not wait");
    }
}

/// Returns what is added to the addresses in this program's file.
pub(crate) fn bias() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let program = std::fs::read_link("/proc/self/exe").unwrap();
    let line = maps.lines().find(|line| line.ends_with(program.to_str().unwrap())).unwrap();
    u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap()
}

/// Returns the number of the line in `source` that has the mark `name`.
pub(crate) fn line_of(source: &str, name: &str) -> u32 {
    let mark = format!("// waits: {name}");
    source.lines().position(|line| line.ends_with(&mark)).expect(name) as u32 + 1
}
