//! A12, B1: the contract of an allocator, held against a model, over an allocator that hands freed addresses out again
//! at once and fails now and then.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::{ptr, thread};

use alloc_profiler::{Dropped, SamplingAllocator, set_sampling_interval, size_class, snapshot, testing};

use crate::harness::{Random, assert_consistent, isolated, pick, status_bytes};

const CLASSES: usize = 26;
const ALIGNMENTS: usize = 22;

/// Keeps freed blocks by size and alignment, and hands the last one freed out first, to whichever thread.
struct Reusing {
    is_locked: AtomicBool,
    free: UnsafeCell<[[*mut u8; ALIGNMENTS]; CLASSES]>,
    calls: AtomicU64,
    /// One in so many calls fails; 0 means none.
    fails_every: AtomicU64,
    /// True while threads free at the same time. A single thread that yields waits for all else that the machine does.
    is_shared: AtomicBool,
}

// SAFETY: `free` is used under the lock.
unsafe impl Sync for Reusing {}

impl Reusing {
    /// Returns what the block really is: the next power of two, with room for a link.
    fn real(layout: Layout) -> Layout {
        let size = layout.size().next_power_of_two().max(16);
        Layout::from_size_align(size, layout.align().max(16)).expect("not larger by far")
    }

    fn with_head<R>(&self, real: Layout, change: impl FnOnce(&mut *mut u8) -> R) -> R {
        while self.is_locked.swap(true, Acquire) {
            thread::yield_now();
        }
        let (class, alignment) = (real.size().ilog2() as usize, real.align().ilog2() as usize);
        // SAFETY: the list is used under the lock.
        let result = change(unsafe { &mut (&mut *self.free.get())[class][alignment] });
        self.is_locked.store(false, Release);
        result
    }

    fn is_refused(&self) -> bool {
        let every = self.fails_every.load(Relaxed);
        every != 0 && self.calls.fetch_add(1, Relaxed) % every == every - 1
    }
}

// SAFETY: a block is either in the caller's hands or in a list; it is as large and as aligned as asked for.
unsafe impl GlobalAlloc for Reusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is_refused() {
            return ptr::null_mut();
        }
        let real = Reusing::real(layout);
        let reused = self.with_head(real, |head| {
            let block = *head;
            if !block.is_null() {
                // SAFETY: a free block holds the link to the next one.
                *head = unsafe { block.cast::<*mut u8>().read() };
            }
            block
        });
        // SAFETY: the layout is not empty.
        if reused.is_null() { unsafe { System.alloc(real) } } else { reused }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.with_head(Reusing::real(layout), |head| {
            // SAFETY: the block is free, and large enough for a link.
            unsafe { ptr.cast::<*mut u8>().write(*head) };
            *head = ptr;
        });
        // If somebody else gets it before we are back, it is now.
        if self.is_shared.load(Relaxed) {
            thread::yield_now();
        }
    }
}

static REUSING: SamplingAllocator<Reusing> = SamplingAllocator::with_allocator(Reusing {
    is_locked: AtomicBool::new(false),
    free: UnsafeCell::new([[ptr::null_mut(); ALIGNMENTS]; CLASSES]),
    calls: AtomicU64::new(0),
    fails_every: AtomicU64::new(0),
    is_shared: AtomicBool::new(false),
});

/// Describes a block of the model. All its bytes (those at its ends, if it is large) are `content`.
struct Block {
    start: *mut u8,
    layout: Layout,
    content: u8,
}

// SAFETY: a block has one owner.
unsafe impl Send for Block {}

impl Block {
    const END: usize = 4096;

    fn ends(size: usize) -> impl Iterator<Item = usize> {
        let first = 0..size.min(Block::END);
        first.chain(size.saturating_sub(Block::END).max(Block::END.min(size))..size)
    }

    fn assert_filled(&self, bytes: usize, content: u8) {
        // SAFETY: the byte is within the block, which is initialised there.
        let wrong = Block::ends(bytes).find(|&n| unsafe { self.start.add(n).read() } != content);
        assert_eq!(wrong, None, "in {:?}", self.layout);
    }

    fn fill(&self) {
        // SAFETY: the range lies within the block.
        Block::ends(self.layout.size()).for_each(|n| unsafe { self.start.add(n).write(self.content) });
    }
}

/// The truth that the profile must tell at an interval of 1.
#[derive(Default)]
struct Truth {
    allocated_objects: u64,
    allocated_bytes: u64,
}

struct Model {
    random: Random,
    live: Vec<Block>,
    truth: Truth,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model { random: Random::new(seed), live: Vec::with_capacity(600), truth: Truth::default() }
    }

    fn layout(&mut self) -> Layout {
        let bits = match self.random.below(40) {
            0 => 21,
            1..4 => 16,
            _ => 10,
        };
        let bits = self.random.below(bits + 1);
        let size = self.random.below(1 << bits) + 1;
        let align = match self.random.below(30) {
            0 => 1 << self.random.below(22),
            _ => 1 << self.random.below(7),
        };
        Layout::from_size_align(size, align).expect("valid")
    }

    /// Does one operation of any kind, and checks as much of it as can be checked at once.
    fn step(&mut self) {
        let choice = if self.live.len() > 500 { 9 } else { self.random.below(10) };
        match choice {
            0..5 => self.allocate(choice % 2 == 0),
            5..7 if !self.live.is_empty() => self.reallocate(),
            7.. if !self.live.is_empty() => {
                let block = self.live.swap_remove(self.random.below(self.live.len()));
                self.free(block);
            }
            _ => {}
        }
    }

    fn allocate(&mut self, zeroed: bool) {
        let layout = self.layout();
        // SAFETY: the layout is not empty.
        let start = unsafe { if zeroed { REUSING.alloc_zeroed(layout) } else { REUSING.alloc(layout) } };
        if start.is_null() {
            return;
        }
        assert!(start.addr().is_multiple_of(layout.align()), "{layout:?}");
        let block = Block { start, layout, content: self.random.below(255) as u8 + 1 };
        if zeroed {
            block.assert_filled(layout.size(), 0);
        }
        self.keep(block);
    }

    fn reallocate(&mut self) {
        let n = self.random.below(self.live.len());
        let mut block = self.live.swap_remove(n);
        let new_size = self.layout().size();
        block.assert_filled(block.layout.size(), block.content);
        // SAFETY: the block has this layout; it is not used through its old address if it has a new one.
        let start = unsafe { REUSING.realloc(block.start, block.layout, new_size) };
        if start.is_null() {
            block.assert_filled(block.layout.size(), block.content);
            return self.live.push(block);
        }
        assert!(start.addr().is_multiple_of(block.layout.align()));
        let kept = block.layout.size().min(new_size).min(Block::END);
        block.start = start;
        block.assert_filled(kept, block.content);
        block.layout = Layout::from_size_align(new_size, block.layout.align()).expect("valid");
        self.keep(block);
    }

    fn keep(&mut self, block: Block) {
        self.truth.allocated_objects += 1;
        self.truth.allocated_bytes += block.layout.size() as u64;
        block.fill();
        self.live.push(block);
    }

    fn free(&mut self, block: Block) {
        block.assert_filled(block.layout.size(), block.content);
        // SAFETY: the block has this layout, and is not used again.
        unsafe { REUSING.dealloc(block.start, block.layout) };
    }

    fn free_all(&mut self) {
        while let Some(block) = self.live.pop() {
            self.free(block);
        }
    }
}

#[test]
fn any_sequence_of_calls_does_what_it_should() {
    isolated(1, || {
        let seeds = pick(4, 200);
        for seed in 0..seeds {
            for interval in [1, 128, 512 << 10, 0] {
                REUSING.inner().fails_every.store([0, 7, 101][seed as usize % 3], Relaxed);
                set_sampling_interval(interval);
                let mut model = Model::new(seed);
                let before = snapshot();
                (0..4000).for_each(|_| model.step());
                let growth = snapshot().since(&before).totals();
                if interval == 1 {
                    let Truth { allocated_objects, allocated_bytes } = model.truth;
                    let live_bytes: usize = model.live.iter().map(|block| block.layout.size()).sum();
                    // Sums are exact to the bit, until they hold what was weighed at other intervals.
                    let exactly = |value: f64| if seed == 0 { value } else { (value * 1e6).round() / 1e6 };
                    assert_eq!(
                        [growth.alloc_objects, growth.alloc_bytes, growth.inuse_objects, growth.inuse_bytes]
                            .map(exactly),
                        [
                            allocated_objects as f64,
                            allocated_bytes as f64,
                            model.live.len() as f64,
                            live_bytes as f64
                        ],
                        "seed {seed}"
                    );
                }
                model.free_all();
                let after = snapshot();
                assert_eq!(after.since(&before).totals().inuse_objects, 0.0, "seed {seed} at {interval}");
                assert_consistent(&after);
            }
        }
    });
}

#[test]
fn threads_may_hand_each_other_addresses_used_before() {
    isolated(pick(2, 20), || {
        set_sampling_interval(1);
        REUSING.inner().fails_every.store(1009, Relaxed);
        REUSING.inner().is_shared.store(true, Relaxed);
        let before = snapshot();
        let exchange: Mutex<Vec<Block>> = Mutex::new(Vec::with_capacity(100));
        thread::scope(|scope| {
            for seed in 0..4 {
                let exchange = &exchange;
                scope.spawn(move || {
                    let mut model = Model::new(1000 + seed);
                    for n in 0..pick(10_000, 100_000) {
                        model.step();
                        if n % 3 == 0 && !model.live.is_empty() {
                            let mut exchange = exchange.lock().expect("no panic");
                            if exchange.len() == 100 {
                                exchange.swap(n % 100, 99);
                                model.live.extend(exchange.pop());
                            }
                            exchange.extend(model.live.pop());
                        }
                    }
                    model.free_all();
                });
            }
        });
        let mut last = Model::new(0);
        last.live = exchange.into_inner().expect("no panic");
        last.free_all();
        drop(last);
        let after = snapshot();
        assert_consistent(&after);
        // What threads leave behind for ever is small, and belongs to the runtime.
        let left = after.since(&before).totals();
        assert!(left.inuse_objects < 20.0, "{left:?}");
    });
}

#[test]
fn zeroed_memory_stays_untouched() {
    isolated(1, || {
        for interval in [512 << 10, 1] {
            set_sampling_interval(interval);
            let before = status_bytes("VmRSS");
            let zeroed = black_box(vec![0_u8; 8 << 30]);
            let after = status_bytes("VmRSS");
            assert!(after < before + (50 << 20), "{} bytes touched", after - before);
            assert_eq!(zeroed.len(), 8 << 30);
        }
    });
}

/// D15: the record stays with the block even where nobody can have the lock under which it would be put back.
#[test]
fn a_realloc_that_fails_while_a_lock_is_held_loses_nothing() {
    isolated(1, || {
        const BYTES: usize = 5000;
        set_sampling_interval(1);
        let layout = Layout::from_size_align(BYTES, 16).expect("valid");
        let before = snapshot();
        // SAFETY: the layout is not empty, and the block has it until it is freed, since `realloc` fails.
        unsafe {
            let block = REUSING.alloc(layout);
            testing::with_locks_held(|| {
                REUSING.inner().fails_every.store(1, Relaxed);
                assert!(REUSING.realloc(block, layout, 2 * BYTES).is_null());
                REUSING.inner().fails_every.store(0, Relaxed);
            });
            let growth = snapshot().since(&before);
            let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size);
            let of_block = sizes.filter(|size| size.size_class == size_class(BYTES));
            assert_eq!(of_block.map(|size| size.totals.inuse_bytes).sum::<f64>(), BYTES as f64);
            assert_eq!(growth.dropped, Dropped::default());
            REUSING.dealloc(block, layout);
        }
        let left = snapshot().since(&before);
        let sizes = left.stacks.iter().flat_map(|stack| &stack.by_size);
        let of_block = sizes.filter(|size| size.size_class == size_class(BYTES));
        assert_eq!(of_block.map(|size| size.totals.inuse_bytes).sum::<f64>(), 0.0);
        assert_consistent(&left);
    });
}
