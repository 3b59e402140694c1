//! Searches of this process: who holds blocks that the test has allocated.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use holders::{Block, Chain, End, Link, Pace, PageMap, Region, RegionKind, Root, Scene, Thread};
use tasks::OwnMemory;

#[expect(clippy::vec_box, reason = "each box is a block of its own")]
static TABLE: Mutex<Vec<Box<[u64; 16]>>> = Mutex::new(Vec::new());

thread_local! {
    #[expect(clippy::vec_box, reason = "each box is a block of its own")]
    static CACHE: RefCell<Vec<Box<[u64; 16]>>> = const { RefCell::new(Vec::new()) };
}

/// Lists the private memory that may be written to.
fn regions() -> Vec<Region> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut was_file = false;
    let region = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, limit) = fields[0].split_once('-')?;
        let [start, limit] = [start, limit].map(|text| u64::from_str_radix(text, 16).unwrap());
        let path = fields.get(5).copied().unwrap_or("");
        let kind = match path {
            "[stack]" => RegionKind::MainStack,
            _ if path.contains("/libc") || path.contains("/ld-") => RegionKind::Allocator,
            _ if path.starts_with('/') || path.is_empty() && was_file => RegionKind::Statics,
            _ => RegionKind::Other,
        };
        was_file = path.starts_with('/');
        fields[1].starts_with("rw-p").then_some(Region { start, limit, kind })
    };
    maps.lines().filter_map(region).collect()
}

/// Returns this thread after the main one, with its stack pointer, below which only dead words are.
fn threads() -> Vec<Thread> {
    let here = 0_u64;
    let this = fs::read_link("/proc/thread-self").unwrap();
    let this = this.file_name().unwrap().to_str().unwrap().parse().unwrap();
    vec![
        Thread { id: std::process::id(), stack_pointer: None },
        Thread { id: this, stack_pointer: Some(black_box(&raw const here) as u64 - 4096) },
    ]
}

fn search(blocks: Vec<Block>) -> Vec<Chain> {
    let (memory, pages) = (OwnMemory::open().unwrap(), PageMap::open().unwrap());
    let (regions, threads) = (regions(), threads());
    let pace = Pace { slice_bytes: 8 << 20, pause: Duration::ZERO, most_time: Duration::from_secs(100) };
    let scene =
        Scene { regions: &regions, threads: &threads, thread_local_bytes: 0x400, left_out: &[], pace };
    holders::search(&memory, &pages, scene, blocks).unwrap().chains
}

fn block<T>(value: &T, site: u32) -> Block {
    let address = std::ptr::from_ref(value) as u64;
    Block { address, bytes: size_of::<T>() as u64, site, target: Some(site) }
}

/// The list of targets lies in memory of its own, whose words are no pointers to them: addresses are masked until they are used.
fn unmasked(masked: &[Block]) -> Vec<Block> {
    masked.iter().map(|block| Block { address: !block.address, ..*block }).collect()
}

fn masked(block: Block) -> Block {
    Block { address: !block.address, ..block }
}

/// All are held by buffers that the search does not know, but for glibc's word on their length.
#[test]
fn the_owners_of_boxes_are_found() {
    let mut targets = Vec::new();
    for number in 0..50 {
        let boxed = Box::new([number; 16]);
        targets.push(masked(block(&*boxed, 1)));
        TABLE.lock().unwrap().push(boxed);
        let boxed = Box::new([number; 16]);
        targets.push(masked(block(&*boxed, 2)));
        CACHE.with_borrow_mut(|cache| cache.push(boxed));
    }
    let found = search(unmasked(&targets));
    assert_eq!(found.len(), 100);
    let table = &raw const TABLE as u64;
    for chain in found {
        let site = chain.target;
        assert!(matches!(chain.links[..], [Link::Unsampled { bytes }] if bytes >= 50 * 8), "{chain:?}");
        match chain.end {
            End::Root(Root::Static(place)) => {
                assert_eq!(site, 1, "{chain:?}");
                assert!((table..table + size_of_val(&TABLE) as u64).contains(&place), "{chain:?}");
            }
            End::Root(Root::ThreadLocal(..)) => assert_eq!(site, 2, "{chain:?}"),
            _ => panic!("{chain:?}"),
        }
    }
}

/// A new thread has an arena of its own, in which the buffer comes before all blocks that the search knows.
#[test]
fn a_buffer_at_the_beginning_of_an_arena_is_found() {
    let in_a_thread = || {
        CACHE.with_borrow_mut(|cache| cache.reserve_exact(64));
        let mut targets = Vec::new();
        for number in 0..50 {
            let boxed = Box::new([number; 16]);
            targets.push(masked(block(&*boxed, 2)));
            CACHE.with_borrow_mut(|cache| cache.push(boxed));
        }
        let found = search(unmasked(&targets));
        assert_eq!(found.len(), 50);
        for chain in found {
            assert!(matches!(chain.links[..], [Link::Unsampled { bytes }] if bytes >= 50 * 8), "{chain:?}");
            assert!(matches!(chain.end, End::Root(Root::ThreadLocal(..))), "{chain:?}");
        }
    };
    std::thread::spawn(in_a_thread).join().unwrap();
}
