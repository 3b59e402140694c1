//! The live table and the filter, the very files, with every order of steps that loom can think of.
//!
//! `live` and `filter` are compiled into this program with loom's atomics in place of the standard library's.
//! What a lock may do is give up at once, so each way of not getting it is tried; a thread that would have waited is
//! the same as one that came later. Blocks are what owners say they are: an address is removed, or read, by the one
//! thread that owns it.
#![allow(dead_code, reason = "the whole of both files, of which models use a part")]

mod estimate;
#[path = "../../../alloc-profiler/unwinder/src/hash.rs"]
mod hash;
mod tables;

// What these use of the profiler.
mod arena;
mod memory;
mod process;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loom::thread;
use process::sync;
use tables::live::{self, HomeSlot, LiveSample, Lost};
use tables::{drops, filter};

/// Of the same 512 bytes, so of one shard and one count. The first two have the same home in a table of 16 slots, the others are
/// their neighbours.
const BLOCKS: [usize; 13] = {
    let (mut first, mut other) = (0x7000_0000, 0x7000_0080);
    while live::home(other) % 16 != live::home(first) % 16 {
        other += 16;
        if other == first + 512 {
            first = other;
            other += 128;
        }
    }
    let mut blocks = [first; 13];
    blocks[1] = other;
    let mut index = 2;
    while index < blocks.len() {
        let near = if index % 2 == 0 { first } else { other };
        blocks[index] = near - near % 128 + (near + 16 * (index / 2)) % 128;
        index += 1;
    }
    blocks
};
const A: usize = BLOCKS[0];
const B: usize = BLOCKS[1];
const C: usize = BLOCKS[2];
const D: usize = BLOCKS[3];
/// This address belongs to another shard.
const ELSEWHERE: usize = 0x7100_0000;

fn sample(address: usize, size: usize) -> LiveSample {
    // A table keeps weights in half the bits.
    let weight = f64::from(size as f32);
    LiveSample { address, size, weight, site_id: size as u32, born: 3, after_snapshot: 5 }
}

fn insert(sample: &LiveSample) -> Result<(), Lost> {
    HomeSlot::of(sample.address).insert(sample)
}

fn insert_all(addresses: &[usize]) {
    for &address in addresses {
        assert_eq!(insert(&sample(address, address)), Ok(()));
    }
}

/// What is in the table once nobody else is at it.
fn assert_holds(addresses: &[usize]) {
    for &address in BLOCKS.iter().chain(&[ELSEWHERE]) {
        let expected = addresses.contains(&address).then(|| sample(address, address));
        assert_eq!(take(address), expected, "{address:#x}");
        assert_eq!(take(address), None);
    }
    assert!(!filter::may_contain(A), "the count is not zero");
    assert_eq!(drops::DUPLICATE_INSERTS.get(), 0);
    assert_eq!(drops::MISSED_REMOVALS.get(), 0);
}

/// The record, if it is out of the table at once.
fn take(address: usize) -> Option<LiveSample> {
    live::take(address).filter(|taken| !taken.is_postponed)?.sample
}

/// Takes the record of an own block. There is none if the lock was busy: then it goes before anything else is done.
fn take_own(address: usize, size: usize) -> bool {
    assert!(filter::may_contain(address) && !filter::rules_out(address), "a free would not ask");
    take(address).is_none_or(|taken| taken == sample(address, size))
}

/// What one thread does; true: what it may have failed at was done.
type Body = fn() -> bool;

/// A table, threads at it, and what must be so when they are done.
struct Model {
    name: &'static str,
    before: &'static [usize],
    threads: &'static [Body],
    check: fn(&[bool]),
}

impl Model {
    /// Runs all of it once, with threads started from number `first` on: loom takes orders for the same that it finds
    /// to be different when it begins with another thread.
    fn run(&self, first: usize) {
        insert_all(self.before);
        let count = self.threads.len();
        let numbers = (0..count).map(|index| (first + index) % count);
        let started: Vec<_> = numbers.map(|number| (number, thread::spawn(self.threads[number]))).collect();
        let mut done = vec![false; count];
        started.into_iter().for_each(|(number, thread)| done[number] = thread.join().expect("no panic"));
        (self.check)(&done);
    }
}

const MODELS: [Model; 7] = [
    Model {
        name: "removals keep each other's records in reach",
        before: &[A, B, C, D],
        threads: &[|| take_own(A, A), || take_own(B, B), || take_own(C, C)],
        check: |_| assert_holds(&[D]),
    },
    Model {
        name: "a stranger is not found",
        before: &[A, B, C],
        threads: &[|| take_own(A, A), || take(D).is_none()],
        check: |done| {
            assert!(done[1]);
            assert_holds(&[B, C]);
        },
    },
    Model {
        name: "the table grows beside a removal",
        before: BLOCKS.first_chunk::<12>().unwrap(),
        threads: &[|| insert(&sample(BLOCKS[12], BLOCKS[12])).is_ok(), || take_own(BLOCKS[3], BLOCKS[3])],
        check: |done| {
            let mut left = BLOCKS.to_vec();
            left.remove(3);
            left.truncate(if done[0] { 12 } else { 11 });
            assert_holds(&left);
        },
    },
    Model {
        name: "the table outgrown is another shard's at once",
        before: BLOCKS.first_chunk::<12>().unwrap(),
        threads: &[
            || {
                insert(&sample(BLOCKS[12], BLOCKS[12])).is_ok()
                    && insert(&sample(ELSEWHERE, ELSEWHERE)).is_ok()
            },
            || take_own(BLOCKS[3], BLOCKS[3]),
        ],
        check: |done| {
            let grown = take(BLOCKS[12]).is_some();
            let other = take(ELSEWHERE).is_some();
            assert_eq!(grown && other, done[0]);
            let mut left = BLOCKS[..12].to_vec();
            left.remove(3);
            assert_holds(&left);
        },
    },
    Model {
        name: "an address is used again at once",
        before: &[A, B],
        threads: &[
            || insert(&sample(C, C)).is_ok(),
            || {
                take_own(A, A);
                insert(&sample(A, 7)).is_ok()
            },
        ],
        check: |done| {
            assert_eq!(take(A), done[1].then(|| sample(A, 7)));
            assert_holds(if done[0] { &[B, C] } else { &[B] });
        },
    },
    Model {
        name: "realloc fails, and puts back what it took",
        before: &[A, B],
        threads: &[|| take_own(A, A), || live::take(B).is_some_and(|taken| live::put_back(&taken).is_ok())],
        check: |done| assert_holds(if done[1] { &[B] } else { &[] }),
    },
    Model {
        name: "two allocate and free",
        before: &[],
        threads: &[
            || insert(&sample(A, A)).is_ok() && take_own(A, A),
            || insert(&sample(B, B)).is_ok() && take_own(B, B),
        ],
        check: |_| assert_holds(&[]),
    },
];

/// Uses every static that models use.
fn use_everything() {
    sync::learn(|| {
        insert_all(&BLOCKS);
        assert_holds(&BLOCKS);
        insert_all(&BLOCKS[..8]);
        insert_all(&[ELSEWHERE]);
        assert_eq!(take(ELSEWHERE), Some(sample(ELSEWHERE, ELSEWHERE)));
    });
    live::with_locks_held(|| {
        sync::learn(|| BLOCKS[..8].iter().for_each(|&address| assert_eq!(take(address), None)));
    });
    sync::learn(|| assert_holds(&[]));
}

fn checker() -> loom::model::Builder {
    let mut checker = loom::model::Builder::new();
    checker.max_branches = 100_000;
    checker.preemption_bound = Some(3);
    checker
}

fn main() {
    checker().check(|| {
        sync::begin();
        use_everything();
    });
    let seconds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4);
    for model in &MODELS {
        for first in 0..model.threads.len() {
            static ORDERS: AtomicU64 = AtomicU64::new(0);
            ORDERS.store(0, Relaxed);
            let mut checker = checker();
            let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
            checker.max_duration = Some(limit);
            checker.checkpoint_interval = 100;
            checker.check(move || {
                ORDERS.fetch_add(1, Relaxed);
                sync::begin();
                model.run(first);
            });
            let end =
                if start.elapsed() < limit { "all that differ" } else { "as many as there was time for" };
            println!("{}, beginning with thread {first}: {} orders, {end}", model.name, ORDERS.load(Relaxed));
        }
    }
}
