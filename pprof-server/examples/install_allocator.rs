//! As `install`, over another allocator than the system's: a unit struct, as mimalloc's and jemalloc's are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands in for another allocator; counts, to show that it is used.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: both methods pass their arguments to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System.alloc` with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

fn main() {
    pprof_server::install!(allocator = Counting);
    println!("{}", ALLOCATIONS.load(Ordering::Relaxed) > 0);
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
}
