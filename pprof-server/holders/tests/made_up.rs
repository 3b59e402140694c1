//! Searches of memory that the tests make up: every word of it is known, and so is who holds what.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use holders::{
    Block, Chain, End, Failure, Found, Link, PAGE_BYTES, Pace, Pages, Region, RegionKind, Root, Scene, Thread,
};
use tasks::{Memory, Unreadable};

const STATICS: u64 = 0x10_0000;
const LIBC: u64 = 0x20_0000;
const HEAP: u64 = 0x30_0000;
const HEAP_PAGES: u64 = 64;
const STACK: u64 = 0x7f00_0000;
const STACK_PAGES: u64 = 16;
const STACK_POINTER: u64 = STACK + 0x8000;
const THREAD_POINTER: u64 = STACK + 0xf000;
const MAIN_STACK: u64 = 0x7fff_0000;
const MAIN_THREAD: u32 = 100;
const OTHER_THREAD: u32 = 101;

/// Memory as a list of words; all others are 0.
#[derive(Default)]
struct World {
    words: RefCell<BTreeMap<u64, u64>>,
    swapped: BTreeSet<u64>,
    /// Pages that were read though they are not in memory.
    faults: RefCell<Vec<u64>>,
    blocks: Vec<Block>,
    /// Words that change when they were read so often.
    moving: RefCell<BTreeMap<u64, (usize, u64)>>,
    next: u64,
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
    fn new() -> World {
        let world = World { next: HEAP, ..World::default() };
        world.set(THREAD_POINTER, THREAD_POINTER);
        world.set(THREAD_POINTER + 16, THREAD_POINTER);
        world.set(THREAD_POINTER + 0x2d0, OTHER_THREAD.into());
        world
    }

    fn set(&self, address: u64, word: u64) {
        self.words.borrow_mut().insert(address, word);
    }

    /// Allocates as glibc does, and returns the address.
    fn allocate(&mut self, bytes: u64) -> u64 {
        let chunk = (bytes + 8).next_multiple_of(16).max(32);
        self.set(self.next + 8, chunk | 1);
        self.next += chunk;
        self.set(self.next + 8, 0x1001);
        self.next - chunk + 16
    }

    /// Allocates a block that is sampled.
    fn sampled(&mut self, site: u32, bytes: u64) -> u64 {
        let address = self.allocate(bytes);
        self.blocks.push(Block { address, bytes, site, target: None });
        address
    }

    /// Allocates a block that is sampled and whose holder is wanted.
    fn target(&mut self, site: u32, bytes: u64) -> u64 {
        let address = self.sampled(site, bytes);
        let number = self.blocks.len() as u32;
        self.blocks.last_mut().unwrap().target = Some(number);
        address
    }

    /// Allocates some sampled blocks, by which the allocator is told.
    fn sample_small(&mut self) {
        for _ in 0..8 {
            self.sampled(9, 24);
        }
    }

    fn search_with(&self, most_time: Duration) -> Result<Found, Failure> {
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
        let scene = Scene {
            regions: &regions,
            threads: &threads,
            thread_local_bytes: 0x100,
            left_out: &[(HEAP + 0x3_0000, HEAP + 0x4_0000)],
            pace: Pace { slice_bytes: 64 << 10, pause: Duration::ZERO, most_time },
        };
        holders::search(self, self, scene, self.blocks.clone())
    }

    fn search(&self) -> Vec<Chain> {
        let found = self.search_with(Duration::from_secs(100)).unwrap();
        assert_eq!(self.faults.borrow().len(), 0, "pages that are not in memory were read");
        found.chains
    }

    fn only(&self) -> Chain {
        let chains = self.search();
        assert_eq!(chains.len(), 1);
        chains.into_iter().next().unwrap()
    }
}

fn link(site: u32, bytes: u64) -> Link {
    Link::Sampled { site, bytes }
}

#[test]
fn each_kind_of_place_is_told() {
    for (place, end, may_be_stale) in [
        (STATICS + 0x18, End::Root(Root::Static(STATICS + 0x18)), false),
        (LIBC + 0x18, End::Lost, false),
        (THREAD_POINTER - 0x40, End::Root(Root::ThreadLocal(OTHER_THREAD, 0x40)), false),
        (STACK_POINTER + 0x40, End::Root(Root::Stack(OTHER_THREAD)), true),
        // What the thread has left behind holds nothing.
        (STACK_POINTER - 0x400, End::Lost, false),
        (MAIN_STACK + 0x40, End::Root(Root::Stack(MAIN_THREAD)), true),
        // The profiler's own memory.
        (HEAP + 0x3_0000, End::Lost, false),
    ] {
        let mut world = World::new();
        let target = world.target(1, 100);
        world.set(place, target + 8);
        let chain = world.only();
        assert_eq!(
            (&chain.links[..], chain.end, chain.may_be_stale),
            (&[][..], end, may_be_stale),
            "{place:#x}"
        );
    }
}

#[test]
fn a_chain_leads_over_sampled_blocks_to_the_root() {
    let mut world = World::new();
    let target = world.target(1, 100);
    let table = world.sampled(2, 4096);
    let head = world.sampled(3, 64);
    world.set(table + 0x800, target);
    // Containers are held by a word that points into them, too.
    world.set(head + 8, table + 0x100);
    world.set(STATICS + 8, head);
    let chain = world.only();
    assert_eq!(chain.links, [link(2, 4096), link(3, 64)]);
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
    assert!(!chain.may_be_stale);
}

#[test]
fn cycles_and_lost_blocks_are_told_from_each_other() {
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.target(1, 40)];
    world.set(a, b);
    world.set(b, a);
    let behind = world.target(2, 40);
    world.set(b + 8, behind);
    let lost = world.sampled(3, 40);
    let child = world.target(4, 40);
    world.set(lost, child);
    // A block that points to itself is lost nevertheless.
    let own = world.target(5, 40);
    world.set(own + 8, own);
    let found = world.search();
    let ends: Vec<End> = found.iter().map(|chain| chain.end).collect();
    assert_eq!(ends, [End::Cycle, End::Cycle, End::Cycle, End::Lost, End::Lost]);
    assert_eq!(found[3].links, [link(3, 40)]);
    assert_eq!(found[4].links, []);
}

/// The owner was not sampled: its extent is what the allocator's own words say, from the sampled block below it.
#[test]
fn blocks_that_were_not_sampled_are_climbed() {
    let mut world = World::new();
    world.sample_small();
    let target = world.target(1, 100);
    let others = [world.allocate(40), world.allocate(400)];
    let owner = world.allocate(200);
    world.set(owner + 0x40, target);
    world.set(STATICS, others[0]);
    world.set(others[1] + 8, owner + 0x10);
    world.set(STATICS + 8, others[1]);
    let chain = world.only();
    assert_eq!(chain.links, [Link::Unsampled { bytes: 192 }, Link::Unsampled { bytes: 400 }]);
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
}

#[test]
fn words_in_free_memory_hold_nothing() {
    let mut world = World::new();
    world.sample_small();
    let target = world.target(1, 100);
    let freed = world.allocate(2000);
    let next = world.allocate(40);
    world.set(freed + 0x400, target);
    world.set(STATICS, freed);
    assert_eq!(world.only().links, [Link::Unsampled { bytes: 2000 }]);
    // The chunk after it says that it is free.
    world.set(next - 8, 48);
    assert_eq!((world.only().links, world.only().end), (vec![], End::Lost));
}

/// Of twenty blocks one also has its address in the spare room of a buffer that a static holds.
#[test]
fn a_word_that_was_left_behind_in_a_buffer_is_not_taken_for_the_owner() {
    let mut world = World::new();
    let targets: Vec<u64> = (0..20).map(|_| world.target(1, 40)).collect();
    let (owner, buffer) = (world.sampled(2, 400), world.sampled(3, 400));
    for (slot, &target) in (0..).zip(&targets) {
        world.set(owner + 8 * slot, target);
    }
    world.set(STACK_POINTER + 8, owner);
    world.set(buffer + 0x100, targets[7]);
    world.set(STATICS, buffer);
    for chain in world.search() {
        assert_eq!(chain.links, [link(2, 400)]);
        assert_eq!(chain.end, End::Root(Root::Stack(OTHER_THREAD)));
    }
}

#[test]
fn what_is_not_in_memory_is_not_read() {
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + PAGE_BYTES, target);
    world.swapped.extend([STATICS / PAGE_BYTES + 1, HEAP / PAGE_BYTES + 3]);
    assert_eq!(world.only().end, End::Lost);
}

/// The word moves from a place that is searched late to one that was searched already, so that one pass sees it nowhere.
#[test]
fn a_word_that_moves_does_not_make_a_block_lost() {
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + 8, 0);
    world.moving.borrow_mut().insert(STATICS + 8, (1, target));
    let chain = world.only();
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
    // It is there in the passes, and gone when it is looked at again.
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + 8, target);
    world.moving.borrow_mut().insert(STATICS + 8, (1, 0));
    assert_eq!(world.only().end, End::NotJudged);
}

#[test]
fn when_the_time_is_over_nothing_is_said() {
    let mut world = World::new();
    world.target(1, 100);
    assert_eq!(world.search_with(Duration::ZERO), Err(Failure::Time));
}

#[test]
fn a_block_with_very_many_words_is_not_called_a_cycle() {
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.sampled(2, 4096)];
    world.set(a, b);
    (0..200).for_each(|slot| world.set(b + 8 * slot, a));
    assert_eq!(world.only().end, End::NotJudged);
    // Of 64 words and fewer, all are known.
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.sampled(2, 4096)];
    world.set(a, b);
    (0..64).for_each(|slot| world.set(b + 8 * slot, a));
    assert_eq!(world.only().end, End::Cycle);
}
