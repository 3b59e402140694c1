//! Which sampled blocks are tasks.
//!
//! Tokio makes a task by `Cell::new`. Where debug information names the functions on the stack of a block, that one tells the tasks.
//! Where it does not, a task is told by what is in the block: tokio aligns tasks to 128 bytes, and each begins with a count
//! of references and the address of a table of functions.
//!
//! Path: *read path*.

use super::frames::{self, Lines};
use crate::mappings::Mappings;
use crate::profile::{Frames, Location, Stacks, Symbolize};
use crate::symbols::SourceLine;
use alloc_profiler::internal::{LiveBlock, live_blocks};
use alloc_profiler::{CodeAddress, StackTrace};
use tasks::Memory;

/// This is what tokio aligns tasks to, on x86-64 and aarch64.
const ALIGNMENT: usize = 128;
/// No task is smaller: it has a header, a place for its future, and a trailer.
const MIN_BYTES: usize = 128;
/// The function of tokio that makes a task.
const MAKER: &str = "tokio::runtime::task::core::Cell::new";
/// The function of tokio that starts the threads of a runtime, whose loops are made as tasks are, and are none of the program's.
const LAUNCHER: &str = "tokio::runtime::scheduler::multi_thread::worker::Launch::launch";
/// So many functions at most lie between the allocator and the one that spawned.
const MAX_DEPTH: usize = 32;
/// What the word that a task begins with is at least: one reference to it, above flags.
const ONE_REFERENCE: u64 = 1 << 6;
/// Where the address of the table of functions is.
const TABLE_OFFSET: u64 = 16;
/// So many of the table's first words are addresses of functions, in whatever order the compiler puts its fields.
const FUNCTIONS: usize = 5;
/// So many words of the table are looked at.
const TABLE_WORDS: usize = 10;

/// The sampled blocks that are tasks.
#[derive(Default)]
pub(in crate::sources) struct Cells {
    /// Holds the tasks. The `stack` of each is the index of its site in `sites`.
    pub(in crate::sources) blocks: Vec<LiveBlock>,
    /// The sites that may have spawned them.
    pub(super) sites: Vec<Site>,
    /// Lists the addresses of all code on the stacks of `sites`.
    pub(in crate::sources) addresses: Vec<u64>,
    /// How many of `blocks` were told by what is in them.
    pub(super) told_by_content: usize,
}

/// A site that spawns tasks.
pub(in crate::sources) struct Site {
    /// The stack, without what tokio and the allocator have on it: it begins with the line that spawned.
    pub(super) trace: StackTrace,
    /// A frame that names the function that spawned.
    pub(super) created_by: Option<CodeAddress>,
}

/// What names tell of the blocks of a site.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Tasks,
    Others,
    Nothing,
}

impl Cells {
    /// Finds the tasks among the samples of the heap. `memory` is this process's, if it can be read.
    ///
    /// Cost: that of listing the live samples, and of naming the stacks of one in eight of them.
    pub(in crate::sources) fn find(
        mappings: &Mappings,
        memory: Option<&dyn Memory>,
        written: &mut Lines,
    ) -> Cells {
        let mut listed = live_blocks(|address, bytes| address % ALIGNMENT == 0 && bytes >= MIN_BYTES);
        let stacks = Stacks::of(listed.stacks.iter(), &[], mappings.clone(), Symbolize::Full);
        let told: Vec<Told> = (0..listed.stacks.len()).map(|stack| told(&stacks, stack)).collect();
        let mut told_by_content = 0;
        let mut is_task = |block: &LiveBlock| match block.stack.map_or(Told::Nothing, |stack| told[stack]) {
            Told::Tasks => true,
            Told::Others => false,
            Told::Nothing => {
                let looks_so =
                    memory.is_some_and(|memory| begins_as_task(mappings, memory, block.address as u64));
                told_by_content += usize::from(looks_so);
                looks_so
            }
        };
        let blocks: Vec<LiveBlock> = listed.blocks.iter().filter(|block| is_task(block)).cloned().collect();
        // Who searches memory for pointers would find those to channels, which are aligned as tasks are.
        listed.wipe();
        let sites = listed.stacks.iter().enumerate();
        let sites = sites.map(|(stack, trace)| Site::of(&stacks, stack, trace, written)).collect();
        Cells { blocks, sites, addresses: stacks.addresses().to_vec(), told_by_content }
    }

    /// Returns the site that spawned the task in `block`.
    pub(in crate::sources) fn site(&self, block: &LiveBlock) -> Option<&Site> {
        self.sites.get(block.stack?)
    }
}

/// Looks for the function that makes tasks.
fn told(stacks: &Stacks, stack: usize) -> Told {
    let mappings = stacks.mappings();
    // The C library begins every thread. That it has files does not say that the program has, which may be stripped.
    let is_of_system = |place| {
        mappings
            .index_of(stacks.address(place))
            .is_some_and(|index| mappings.as_slice()[index].is_of_system())
    };
    let places = stacks.places(stack).iter().filter(|&&place| !is_of_system(place));
    let lines = places.flat_map(|&place| stacks.lines(Location { place, skipped_lines: 0 }));
    let (mut is_made, mut has_files) = (false, false);
    for line in lines.take(MAX_DEPTH) {
        match &*line.function.name {
            // mutant: E17 the loops of a runtime count as tasks
            LAUNCHER => return Told::Others,
            MAKER => is_made = true,
            _ => has_files |= !line.function.file.is_empty(),
        }
    }
    match (is_made, has_files) {
        (true, _) => Told::Tasks,
        (false, true) => Told::Others,
        // Without debug information, the function may be there and inlined.
        (false, false) => Told::Nothing,
    }
}

/// Returns whether the stack at this index is one on which tokio makes a task, as far as names tell.
pub(crate) fn makes_tasks(stacks: &Stacks, stack: usize) -> bool {
    told(stacks, stack) == Told::Tasks
}

/// Whether the memory at `address` begins as a task does.
fn begins_as_task(mappings: &Mappings, memory: &dyn Memory, address: u64) -> bool {
    let mut word = [0; 8];
    let mut read = |address| memory.read(address, &mut word).ok().map(|()| u64::from_ne_bytes(word));
    let (Some(state), Some(table)) = (read(address), read(address.wrapping_add(TABLE_OFFSET))) else {
        return false;
    };
    let words = (0..TABLE_WORDS as u64).map_while(|index| read(table.checked_add(8 * index)?));
    let is_code = |word: &u64| mappings.index_of(*word).is_some();
    state >= ONE_REFERENCE && words.filter(is_code).count() >= FUNCTIONS
}

impl Site {
    fn of(stacks: &Stacks, stack: usize, trace: &StackTrace, written: &mut Lines) -> Site {
        let shown: Vec<Location> = stacks.shown(stack, Frames::UserFirst).locations().collect();
        let left_out = stacks.places(stack).len() - shown.len();
        let mut frames: Vec<CodeAddress> = trace.frames.iter().skip(left_out).copied().collect();
        let mut created_by = None;
        if let (Some(first), Some(&location)) = (frames.first_mut(), shown.first()) {
            let (near, lines) = (stacks.address(location.place), stacks.lines(location));
            if location.skipped_lines > 0 {
                *first = frames::frame(near, lines.into(), written);
            }
            created_by = lines.first().map(|by: &SourceLine| frames::created_by(by, near, written));
        }
        Site { trace: StackTrace::new(frames, trace.is_truncated), created_by }
    }
}
