//! The truth, by an allocator below the sampling one that counts every call exactly, by the size of its block.
//!
//! The sampling allocator wraps it, so it sees just what the program asked for. Counting can be switched off
//! for what a test itself allocates while it evaluates.

use alloc_profiler::Totals;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// `System`, but it counts every call: see [`Counts::now`].
#[derive(Debug)]
pub struct CountingAllocator;

static ALLOCATED_OBJECTS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE_OBJECTS: AtomicI64 = AtomicI64::new(0);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// Exact counts, as they are at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// How many objects were ever allocated. A `realloc` that succeeds counts as one more.
    pub allocated_objects: u64,
    /// How many bytes were requested for them.
    pub allocated_bytes: u64,
    /// How many objects have not been freed yet.
    pub live_objects: i64,
    /// How many bytes were requested for these.
    pub live_bytes: i64,
}

impl Counts {
    /// Reads the counts.
    pub fn now() -> Counts {
        Counts {
            allocated_objects: ALLOCATED_OBJECTS.load(Relaxed),
            allocated_bytes: ALLOCATED_BYTES.load(Relaxed),
            live_objects: LIVE_OBJECTS.load(Relaxed),
            live_bytes: LIVE_BYTES.load(Relaxed),
        }
    }

    /// Returns what was added since `earlier`.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            allocated_objects: self.allocated_objects - earlier.allocated_objects,
            allocated_bytes: self.allocated_bytes - earlier.allocated_bytes,
            live_objects: self.live_objects - earlier.live_objects,
            live_bytes: self.live_bytes - earlier.live_bytes,
        }
    }
}

fn count(ptr: *mut u8, size: usize) -> *mut u8 {
    if !ptr.is_null() {
        ALLOCATED_OBJECTS.fetch_add(1, Relaxed);
        ALLOCATED_BYTES.fetch_add(size as u64, Relaxed);
        LIVE_OBJECTS.fetch_add(1, Relaxed);
        LIVE_BYTES.fetch_add(size as i64, Relaxed);
    }
    ptr
}

fn discount(size: usize) {
    LIVE_OBJECTS.fetch_sub(1, Relaxed);
    LIVE_BYTES.fetch_sub(size as i64, Relaxed);
}

// SAFETY: every call goes to `System` with its own arguments, and around it only integers are added.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        count(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        count(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        discount(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let new_ptr = unsafe { System.realloc(ptr, layout, new_size) };
        if !new_ptr.is_null() {
            discount(layout.size());
            count(new_ptr, new_size);
        }
        new_ptr
    }
}

/// Fails unless the totals that are kept beside the live samples are those that a snapshot sums up. Nobody else may allocate
/// meanwhile.
pub fn totals_agree() {
    let [kept, summed] = alloc_profiler::unsampled(|| {
        [alloc_profiler::totals().expect("no thread is stopped"), alloc_profiler::snapshot().totals()]
    });
    let samples = |totals: &Totals| (totals.alloc_samples, totals.inuse_samples);
    assert_eq!(samples(&kept), samples(&summed));
    let figures = |totals: &Totals| {
        [
            totals.alloc_objects,
            totals.alloc_bytes,
            totals.alloc_objects_variance,
            totals.alloc_bytes_variance,
            totals.inuse_objects,
            totals.inuse_bytes,
            totals.inuse_objects_variance,
            totals.inuse_bytes_variance,
        ]
    };
    for (kept, summed) in figures(&kept).into_iter().zip(figures(&summed)) {
        assert!((kept - summed).abs() <= 1e-9 * summed, "{kept} is kept, {summed} summed up");
    }
}
