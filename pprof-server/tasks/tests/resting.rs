//! An index that rested finds what it found before, and one that had no time for everything goes on where it stopped.

mod program;

use program::{Program, bias};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tasks::{Image, IndexError, ReadAt, TypeIndex};
use tokio::sync::mpsc;

async fn leaf(receiver: &mut mpsc::Receiver<u64>) -> Option<u64> {
    receiver.recv().await
}

async fn waits(mut receiver: mpsc::Receiver<u64>) -> u64 {
    leaf(&mut receiver).await.unwrap_or(1)
}

/// It reads this program's file, and counts how many bytes are read.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl ReadAt for Counted {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = File::open("/proc/self/exe")?.read_at(bytes, offset)?;
        self.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        File::open("/proc/self/exe")?.size_bytes()
    }
}

fn own_image() -> Vec<Image> {
    vec![Image { debug: Box::new(File::open("/proc/self/exe").unwrap()), bias: bias(), package: None }]
}

#[test]
fn it_finds_the_same_after_a_rest_and_reads_nothing_twice() {
    let mut program = Program::new();
    let (_sender, receiver) = mpsc::channel(1);
    let handle = program.runtime.spawn(waits(receiver));
    let before = program.read(&handle);
    assert_eq!(before.future.chain().len(), 4, "{before:#?}");
    let block = program.block(&handle);
    let resting = program.index.rest();
    let bytes = resting.memory_bytes();
    assert!((1..32 << 20).contains(&bytes), "{bytes} bytes");
    let counted = Counted::default();
    let image = Image { debug: Box::new(counted.clone()), bias: bias(), package: None };
    let mut index = resting.wake(vec![image], &|| true).unwrap();
    let read = counted.0.load(Ordering::Relaxed);
    assert!(read < 64 << 10, "{read} bytes were read, and the headers of sections are less");
    assert_eq!(index.read(&program.memory, block).unwrap(), before);
}

#[test]
fn it_goes_on_where_it_stopped() {
    let mut program = Program::new();
    let (_sender, receiver) = mpsc::channel(1);
    let handle = program.runtime.spawn(waits(receiver));
    let whole = program.read(&handle);
    let block = program.block(&handle);
    let some_units = || {
        let left = Cell::new(20);
        move || left.replace(left.get() - 1) > 0
    };
    let mut index = TypeIndex::of_images_while(own_image(), &some_units()).unwrap();
    let mut turns = 0;
    while index.is_unfinished() {
        // What is read of a part may be less, and must not be what is shown of the whole.
        drop(index.read(&program.memory, block));
        index = index.rest().wake(own_image(), &some_units()).unwrap();
        turns += 1;
        assert!(turns < 10_000, "it never ends");
    }
    assert!(turns > 1, "one turn was enough");
    assert!(!index.is_broken());
    assert_eq!(index.read(&program.memory, block).unwrap(), whole);
}

#[test]
fn files_that_are_gone_are_an_error_and_other_numbers_of_files_a_new_search() {
    let whole = || TypeIndex::of_images(own_image()).unwrap();
    let gone = vec![Image { debug: Box::new(Vec::new()), bias: 0, package: None }];
    assert_eq!(whole().rest().wake(gone, &|| true).err(), Some(IndexError::NotElf));
    let none = whole().rest().wake(Vec::new(), &|| true).unwrap();
    assert_eq!(none.grade(), tasks::Grade::None);
}
