//! Searches while all else in the process changes: blocks, threads, libraries and mappings come and go, and pages are given back, moved and
//! protected. Nothing may fault, and what does not change must be told right each time.
//!
//! `SEARCHES=100000` in the environment makes it long; `scripts/long-holders.sh` does so.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

mod process;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use holders::{Block, Chain, End, Failure, Pace, Root};
use process::{block, masked, unmasked};

#[expect(clippy::vec_box, reason = "each box is a block of its own")]
static TABLE: Mutex<Vec<Box<[u64; 16]>>> = Mutex::new(Vec::new());
static IS_OVER: AtomicBool = AtomicBool::new(false);
const MAPPED_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

fn until_over(mut turn: impl FnMut(u64) + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || (0..).take_while(|_| !IS_OVER.load(Relaxed)).for_each(&mut turn))
}

/// Blocks of all sizes come and go.
fn allocates() -> std::thread::JoinHandle<()> {
    let mut kept: Vec<Vec<u64>> = Vec::new();
    until_over(move |turn| {
        kept.push(vec![turn; 1 << (turn % 15)]);
        if kept.len() > 64 {
            kept.swap_remove((turn * 7 % 64) as usize);
        }
        if turn % 4096 == 0 {
            kept = Vec::new();
        }
    })
}

fn starts_threads() -> std::thread::JoinHandle<()> {
    until_over(|turn| {
        let work = move || drop(black_box(vec![turn; 1000]));
        std::thread::spawn(work).join().unwrap();
    })
}

/// Opens and closes a library that nothing else in this process uses.
fn opens_libraries() -> std::thread::JoinHandle<()> {
    until_over(|_| {
        // SAFETY: the name ends with NUL, and the library's constructors do nothing but what glibc's do. What is closed was opened here, and
        // nothing of it is used.
        unsafe {
            let library = libc::dlopen(c"libresolv.so.2".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            if !library.is_null() {
                libc::dlclose(library);
            }
        }
        std::thread::yield_now();
    })
}

/// Maps memory, fills it, gives back a part, protects another, moves all of it, and unmaps it.
fn maps() -> std::thread::JoinHandle<()> {
    until_over(|turn| {
        // SAFETY: the mapping is new, and nobody else knows it. It is written to before any part of it is protected, and by this thread alone;
        // every later call gives it, or the place that it was moved to, as a whole or a part that lies within.
        unsafe {
            let (flags, access) =
                (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
            let start = libc::mmap(std::ptr::null_mut(), MAPPED_BYTES, access, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            std::slice::from_raw_parts_mut(start.cast::<u64>(), MAPPED_BYTES / 8).fill(turn);
            libc::madvise(start.byte_add(MAPPED_BYTES / 2), MAPPED_BYTES / 4, libc::MADV_DONTNEED);
            libc::mprotect(start.byte_add(PAGE_BYTES * (turn as usize % 64)), PAGE_BYTES, libc::PROT_NONE);
            let moved = libc::mremap(start, MAPPED_BYTES, 2 * MAPPED_BYTES, libc::MREMAP_MAYMOVE);
            match moved == libc::MAP_FAILED {
                // Protecting a part has split it.
                true => libc::munmap(start, MAPPED_BYTES),
                false => libc::munmap(moved, 2 * MAPPED_BYTES),
            };
        }
    })
}

fn search(blocks: Vec<Block>) -> Result<Vec<Chain>, Failure> {
    let pace = Pace { slice_bytes: 8 << 20, pause: Duration::ZERO, most_time: Duration::from_secs(100) };
    process::search(blocks, pace).map(|found| found.chains)
}

#[test]
fn nothing_faults_and_what_stays_is_told_right() {
    let searches: u64 =
        std::env::var("SEARCHES").map_or(100, |count| count.parse().expect("SEARCHES is a number"));
    let mut targets = Vec::new();
    for number in 0..50 {
        let boxed = Box::new([number; 16]);
        targets.push(masked(block(&*boxed, 1)));
        TABLE.lock().unwrap().push(boxed);
    }
    if cfg!(address_sanitizer) {
        // Its allocator is another one, whose blocks are not told unless they are listed.
        let table = TABLE.lock().unwrap();
        let (address, bytes) = (table.as_ptr() as u64, (8 * table.capacity()) as u64);
        targets.push(masked(Block { address, bytes, site: 2, target: None }));
    }
    let churning = [allocates(), starts_threads(), opens_libraries(), maps()];
    let table = &raw const TABLE as u64;
    let table = table..table + size_of_val(&TABLE) as u64;
    for number in 0..searches {
        for chain in search(unmasked(&targets)).unwrap() {
            let is_right = matches!(chain.end, End::Root(Root::Static(place)) if table.contains(&place));
            assert!(is_right, "search {number}: {chain:?}");
        }
    }
    IS_OVER.store(true, Relaxed);
    churning.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{searches} searches");
}
