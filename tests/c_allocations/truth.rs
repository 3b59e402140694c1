//! The truth: an allocator below, which notes the size of each block that it serves while it is asked to, for C and for Rust apart.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use alloc_profiler::{CAllocator, CLibrary, testing};

/// Is the C library's allocator, and takes notes.
pub(crate) struct Counting;

/// What one of the two has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) allocated_objects: f64,
    pub(crate) allocated_bytes: f64,
    pub(crate) live_objects: f64,
    pub(crate) live_bytes: f64,
}

/// A block: where it is, how large, and whether C asked for it.
type Block = (usize, usize, bool);

const PLACES: usize = 1 << 16;

/// Blocks by their addresses, beginning at a place that the address says; and the counts of Rust and of C.
struct Notes {
    blocks: [Option<Block>; PLACES],
    counts: [Counts; 2],
}

static IS_ON: AtomicBool = AtomicBool::new(false);
// The standard library's lock allocates nothing on Linux.
static NOTES: Mutex<Notes> = Mutex::new(Notes {
    blocks: [None; PLACES],
    counts: [Counts { allocated_objects: 0.0, allocated_bytes: 0.0, live_objects: 0.0, live_bytes: 0.0 }; 2],
});

/// Notes blocks from now on.
pub(crate) fn begin() {
    IS_ON.store(true, Relaxed);
}

/// Returns what Rust has allocated, and what C has.
pub(crate) fn counts() -> [Counts; 2] {
    NOTES.lock().unwrap().counts
}

fn places(address: usize) -> impl Iterator<Item = usize> {
    let first = address >> 4;
    (0..PLACES).map(move |next| (first + next) % PLACES)
}

impl Notes {
    fn add(&mut self, block: Block) {
        let place = places(block.0).find(|&place| self.blocks[place].is_none()).expect("fewer blocks");
        self.blocks[place] = Some(block);
        let counts = &mut self.counts[usize::from(block.2)];
        counts.allocated_objects += 1.0;
        counts.allocated_bytes += block.1 as f64;
        counts.live_objects += 1.0;
        counts.live_bytes += block.1 as f64;
    }

    /// Takes out a block, and closes the gap. The result is `None` if it was not noted.
    fn take(&mut self, address: usize) -> Option<Block> {
        let is_it = |block: Option<Block>| block.is_none_or(|block| block.0 == address);
        let place = places(address).find(|&place| is_it(self.blocks[place]))?;
        let block = self.blocks[place].take()?;
        let mut next = (place + 1) % PLACES;
        while let Some(moved) = self.blocks[next].take() {
            let free = places(moved.0).find(|&place| self.blocks[place].is_none()).expect("its own");
            self.blocks[free] = Some(moved);
            next = (next + 1) % PLACES;
        }
        let counts = &mut self.counts[usize::from(block.2)];
        counts.live_objects -= 1.0;
        counts.live_bytes -= block.1 as f64;
        Some(block)
    }
}

/// Notes a block. What the profiler allocates for itself is none, and neither is a block without bytes.
fn allocated<T>(block: *mut T, size: usize, by_c: bool) -> *mut T {
    if IS_ON.load(Relaxed) && !block.is_null() && size > 0 && !testing::is_paused() {
        NOTES.lock().unwrap().add((block.addr(), size, by_c));
    }
    block
}

fn freed<T>(block: *mut T) -> Option<Block> {
    if IS_ON.load(Relaxed) { NOTES.lock().unwrap().take(block.addr()) } else { None }
}

/// Takes the old block out for the time of `realloc`, and puts it back if that fails.
fn reallocated<T>(block: *mut T, size: usize, by_c: bool, realloc: impl FnOnce() -> *mut T) -> *mut T {
    let before = freed(block);
    let moved = realloc();
    if moved.is_null() && size > 0 {
        if let Some(block) = before {
            let mut notes = NOTES.lock().unwrap();
            notes.add(block);
            let counts = &mut notes.counts[usize::from(block.2)];
            counts.allocated_objects -= 1.0;
            counts.allocated_bytes -= block.1 as f64;
        }
        return moved;
    }
    allocated(moved, size, by_c)
}

// SAFETY: every call goes to the C library's allocator with its own arguments.
unsafe impl CAllocator for Counting {
    unsafe fn malloc(size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        allocated(unsafe { CLibrary::malloc(size) }, size, true)
    }

    unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        allocated(unsafe { CLibrary::calloc(count, size) }, count.saturating_mul(size), true)
    }

    unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        reallocated(block, size, true, || unsafe { <CLibrary as CAllocator>::realloc(block, size) })
    }

    unsafe fn free(block: *mut c_void) {
        freed(block);
        // SAFETY: the caller's promise, passed on.
        unsafe { CLibrary::free(block) }
    }

    unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's promise, passed on.
        allocated(unsafe { CLibrary::memalign(alignment, size) }, size, true)
    }
}

// SAFETY: every call goes to the C library's allocator with its own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        allocated(unsafe { CLibrary.alloc(layout) }, layout.size(), false)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        allocated(unsafe { CLibrary.alloc_zeroed(layout) }, layout.size(), false)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        freed(block);
        // SAFETY: the caller's promise, passed on.
        unsafe { CLibrary.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        reallocated(block, size, false, || unsafe { CLibrary.realloc(block, layout, size) })
    }
}
