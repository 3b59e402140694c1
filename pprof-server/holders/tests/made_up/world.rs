//! Memory of which the tests know every word.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use holders::{Block, Chain, Failure, Found, PAGE_BYTES, Pace, Pages, Region, RegionKind, Scene, Thread};
use tasks::{Memory, Unreadable};

pub(crate) const STATICS: u64 = 0x10_0000;
/// A variable of the profiler's own.
pub(crate) const OWN_VARIABLE: (u64, u64) = (STATICS + 0x2000, STATICS + 0x2100);
pub(crate) const LIBC: u64 = 0x20_0000;
pub(crate) const HEAP: u64 = 0x30_0000;
pub(crate) const HEAP_PAGES: u64 = 64;
pub(crate) const STACK: u64 = 0x7f00_0000;
pub(crate) const STACK_PAGES: u64 = 16;
pub(crate) const STACK_POINTER: u64 = STACK + 0x8000;
pub(crate) const THREAD_POINTER: u64 = STACK + 0xf000;
pub(crate) const MAIN_STACK: u64 = 0x7fff_0000;
pub(crate) const MAIN_THREAD: u32 = 100;
pub(crate) const OTHER_THREAD: u32 = 101;

/// Memory as a list of words; all others are 0.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) words: RefCell<BTreeMap<u64, u64>>,
    pub(crate) swapped: BTreeSet<u64>,
    /// Pages that were read though they are not in memory.
    pub(crate) faults: RefCell<Vec<u64>>,
    pub(crate) blocks: Vec<Block>,
    /// Words that change when they were read so often.
    pub(crate) moving: RefCell<BTreeMap<u64, (usize, u64)>>,
    pub(crate) next: u64,
}

impl Memory for World {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        for page in (address / PAGE_BYTES)..=((address + bytes.len() as u64 - 1) / PAGE_BYTES) {
            if self.swapped.contains(&page) {
                self.faults.borrow_mut().push(page);
            }
        }
        bytes.fill(0);
        for (&at, &word) in self.words.borrow().range(address..address + bytes.len() as u64) {
            let offset = (at - address) as usize;
            bytes[offset..offset + 8].copy_from_slice(&word.to_ne_bytes());
        }
        for (at, (left, into)) in self.moving.borrow_mut().range_mut(address..address + bytes.len() as u64) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.words.borrow_mut().insert(*at, *into);
            }
        }
        Ok(())
    }
}

impl Pages for World {
    fn resident(&self, start: u64, resident: &mut [bool]) -> io::Result<()> {
        for (page, is_there) in (start / PAGE_BYTES..).zip(resident) {
            *is_there = !self.swapped.contains(&page);
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn new() -> World {
        let world = World { next: HEAP, ..World::default() };
        world.set(THREAD_POINTER, THREAD_POINTER);
        world.set(THREAD_POINTER + 16, THREAD_POINTER);
        world.set(THREAD_POINTER + 0x2d0, OTHER_THREAD.into());
        world
    }

    pub(crate) fn set(&self, address: u64, word: u64) {
        self.words.borrow_mut().insert(address, word);
    }

    /// Allocates as glibc does, and returns the address.
    pub(crate) fn allocate(&mut self, bytes: u64) -> u64 {
        let chunk = (bytes + 8).next_multiple_of(16).max(32);
        self.set(self.next + 8, chunk | 1);
        self.next += chunk;
        self.set(self.next + 8, 0x1001);
        self.next - chunk + 16
    }

    /// Allocates a block that is sampled.
    pub(crate) fn sampled(&mut self, site: u32, bytes: u64) -> u64 {
        let address = self.allocate(bytes);
        self.blocks.push(Block { address, bytes, site, target: None });
        address
    }

    /// Allocates a block that is sampled and whose holder is wanted.
    pub(crate) fn target(&mut self, site: u32, bytes: u64) -> u64 {
        let address = self.sampled(site, bytes);
        let number = self.blocks.len() as u32;
        self.blocks.last_mut().unwrap().target = Some(number);
        address
    }

    /// Allocates some sampled blocks, by which the allocator is told.
    pub(crate) fn sample_small(&mut self) {
        for _ in 0..8 {
            self.sampled(9, 24);
        }
    }

    /// Calls `search` with a scene of the program's memory.
    pub(crate) fn with_scene<T>(&self, most_time: Duration, search: impl FnOnce(Scene<'_>) -> T) -> T {
        let region = |start, pages, kind| Region { start, limit: start + pages * PAGE_BYTES, kind };
        let regions = [
            region(STATICS, 4, RegionKind::Statics),
            region(LIBC, 4, RegionKind::Allocator),
            region(HEAP, HEAP_PAGES, RegionKind::Other),
            region(STACK, STACK_PAGES, RegionKind::Other),
            region(MAIN_STACK, 16, RegionKind::MainStack),
        ];
        let threads = [
            Thread { id: MAIN_THREAD, stack_pointer: None },
            Thread { id: OTHER_THREAD, stack_pointer: Some(STACK_POINTER) },
        ];
        search(Scene {
            regions: &regions,
            threads: &threads,
            thread_local_bytes: 0x100,
            left_out: &[(HEAP + 0x3_0000, HEAP + 0x4_0000)],
            own_variables: &[OWN_VARIABLE],
            pace: Pace { slice_bytes: 64 << 10, pause: Duration::ZERO, most_time },
        })
    }

    pub(crate) fn search_with(&self, most_time: Duration) -> Result<Found, Failure> {
        self.with_scene(most_time, |scene| holders::search(self, self, scene, self.blocks.clone()))
    }

    pub(crate) fn search(&self) -> Vec<Chain> {
        let found = self.search_with(Duration::from_secs(100)).unwrap();
        assert_eq!(self.faults.borrow().len(), 0, "pages that are not in memory were read");
        found.chains
    }

    pub(crate) fn only(&self) -> Chain {
        let chains = self.search();
        assert_eq!(chains.len(), 1);
        chains.into_iter().next().unwrap()
    }
}
