//! Whatever memory and debug information are, nothing panics, and all bounds are kept.

#[path = "../src/debug_file/made_up_elf.rs"]
mod made_up_elf;
mod program;

use gimli::{AttributeValue, DebugAbbrev, DebugInfo, DebugStr, NativeEndian};
use made_up_elf::elf_of;
use object::{Object, ObjectSection};
use program::Program;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tasks::{AwaitFrame, Block, Image, Memory, OwnMemory, ReadAt, Task, TypeIndex, Unread, Unreadable};
use tokio::sync::mpsc;

async fn leaf(receiver: &mut mpsc::Receiver<u64>) -> Option<u64> {
    receiver.recv().await
}

async fn waits(mut receiver: mpsc::Receiver<u64>) -> u64 {
    tokio::select! {
        number = leaf(&mut receiver) => number.unwrap_or(0),
        () = tokio::time::sleep(Duration::from_secs(86_400)) => 1,
        number = Box::pin(std::future::pending()) => number,
    }
}

/// This is a generator with a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A file of which some bytes are others, and which may end early.
struct Changed {
    original: Arc<Vec<u8>>,
    changes: BTreeMap<u64, u8>,
    length: u64,
}

impl ReadAt for Changed {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap();
        let most = bytes.len().min(left);
        let read = self.original.read_at(&mut bytes[..most], offset)?;
        for (&at, &byte) in self.changes.range(offset..offset.saturating_add(read as u64)) {
            bytes[(at - offset) as usize] = byte;
        }
        Ok(read)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.length)
    }
}

/// Memory some of whose bytes are read as others.
struct Noisy<'a> {
    memory: &'a OwnMemory,
    random: Cell<u64>,
}

impl Memory for Noisy<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let mut random = Random(self.random.get());
        let result = match random.below(20) {
            0 => Err(Unreadable { address }),
            _ => self.memory.read(address, bytes),
        };
        if random.below(3) == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        self.random.set(random.0);
        result
    }
}

/// Makes a file of the sections that debug information is in, with those units alone that are of this test.
fn small_file() -> Vec<u8> {
    let whole = std::fs::read("/proc/self/exe").unwrap();
    let object = object::File::parse(&whole[..]).unwrap();
    let section =
        |name: &str| object.section_by_name(name).map_or(Vec::new(), |found| found.data().unwrap().to_vec());
    let (info, abbreviations, strings) =
        (section(".debug_info"), section(".debug_abbrev"), section(".debug_str"));
    let mut own = Vec::new();
    let mut units = DebugInfo::new(&info, NativeEndian).units();
    while let Some(header) = units.next().unwrap() {
        let table = header.abbreviations(&DebugAbbrev::new(&abbreviations, NativeEndian)).unwrap();
        let mut entries = header.entries(&table);
        let root = entries.next_dfs().unwrap().unwrap();
        let Some(AttributeValue::DebugStrRef(name)) = root.attr_value(gimli::DW_AT_name) else { continue };
        let name = DebugStr::new(&strings, NativeEndian).get_str(name).unwrap();
        if name.to_string_lossy().contains("tests/hostile.rs") {
            let start = header.debug_info_offset().unwrap().0;
            own.extend_from_slice(&info[start..start + header.length_including_self()]);
        }
    }
    assert!(!own.is_empty());
    elf_of(&[
        (".debug_info", own),
        (".debug_abbrev", abbreviations),
        (".debug_str", strings),
        (".debug_line", section(".debug_line")),
    ])
}

fn frames_and_depth(frame: &AwaitFrame) -> (usize, usize) {
    let below = frame.children.iter().map(frames_and_depth);
    let (frames, depth) = below.fold((0, 0), |sum, child| (sum.0 + child.0, sum.1.max(child.1)));
    (frames + 1, depth + 1)
}

fn assert_bounded(task: &Result<Task, Unread>) {
    if let Ok(task) = task {
        let (frames, depth) = frames_and_depth(&task.future);
        assert!(frames <= 257 + 64 && depth <= 25, "{task:#?}");
    }
}

/// Returns a program with a task that waits.
fn program_with_task() -> (Program, Block, mpsc::Sender<u64>) {
    let mut program = Program::new();
    let (sender, receiver) = mpsc::channel(1);
    let handle = program.runtime.spawn(waits(receiver));
    program.read(&handle);
    let block = program.block(&handle);
    (program, block, sender)
}

#[test]
fn memory_may_be_anything() {
    let (mut program, block, _sender) = program_with_task();
    let mut read = 0;
    for seed in 0..20_000 {
        let noisy = Noisy { memory: &program.memory, random: Cell::new(seed) };
        let task = program.index.read(&noisy, block);
        assert_bounded(&task);
        read += usize::from(task.is_ok());
    }
    // Some noise is not noticed, and leads to a line that is wrong at most.
    assert!(read > 0);
    for address in [0, 1, 8, block.address + 1, block.address + 128, u64::MAX - 7, u64::MAX] {
        let task = program.index.read(&program.memory, Block { address, bytes: None });
        assert_eq!(task, Err(Unread::NotATask), "{address:#x}");
    }
}

#[test]
fn debug_information_may_be_anything() {
    let (program, block, _sender) = program_with_task();
    let original = Arc::new(small_file());
    let length = original.len() as u64;
    let index = |changes, length| {
        let debug = Box::new(Changed { original: original.clone(), changes, length });
        let images = vec![Image { debug, bias: program::bias(), package: None }];
        TypeIndex::of_images_within(images, Duration::from_secs(600))
    };
    let whole = index(BTreeMap::new(), length).unwrap().read(&program.memory, block).unwrap();
    assert!(frames_and_depth(&whole.future).0 >= 5, "{whole:#?}");
    let word = |at: u64| u64::from_ne_bytes(original[at as usize..][..8].try_into().unwrap());
    let headers = word(40);
    // The third section has the names; units and abbreviations come before.
    let names = word(headers + 3 * 64 + 24);
    let mut random = Random(7);
    let mut differing = 0;
    for round in 0..64 {
        let place = |random: &mut Random| match round % 8 {
            0 if random.below(2) == 0 => random.below(64),
            0 => headers + random.below(length - headers),
            1 => 64 + random.below(length - 64),
            _ => 64 + random.below(names - 64),
        };
        let count = 1 << (2 * (round / 8));
        let changes = (0..count).map(|_| (place(&mut random), random.below(256) as u8)).collect();
        let length = if round % 8 == 2 { random.below(length) } else { length };
        if let Ok(mut index) = index(changes, length) {
            let task = index.read(&program.memory, block);
            assert_bounded(&task);
            differing += usize::from(task.as_ref() != Ok(&whole));
        }
    }
    assert!(differing > 10, "{differing}");
}
