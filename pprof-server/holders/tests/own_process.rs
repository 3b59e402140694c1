//! Searches of this process: who holds blocks that the test has allocated.

#![cfg(all(target_os = "linux", target_arch = "x86_64", any(target_env = "gnu", target_env = "musl")))]

mod process;

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Duration;

use holders::{Block, Chain, End, Link, Pace, Root};
use process::{block, masked, unmasked};

#[expect(clippy::vec_box, reason = "each box is a block of its own")]
static TABLE: Mutex<Vec<Box<[u64; 16]>>> = Mutex::new(Vec::new());

thread_local! {
    #[expect(clippy::vec_box, reason = "each box is a block of its own")]
    static CACHE: RefCell<Vec<Box<[u64; 16]>>> = const { RefCell::new(Vec::new()) };
}

fn search(blocks: Vec<Block>) -> Vec<Chain> {
    let pace = Pace { slice_bytes: 8 << 20, pause: Duration::ZERO, most_time: Duration::from_secs(100) };
    process::search(blocks, pace).unwrap().chains
}

/// All are held by buffers that the search does not know, but for what the allocator says of them.
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
