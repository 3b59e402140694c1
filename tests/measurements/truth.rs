//! The truth about one thread, by an allocator below the sampling one that counts each call of the thread exactly.
//!
//! A block is taken for freed before what takes its place is allocated, as a measurement does. What the profiler itself asks of
//! the allocator passes by here too, so a test says which allocations count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `System`, but it counts.
pub(crate) struct ThreadCounting;

/// This is what the calling thread allocated and freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) alloc_objects: u64,
    pub(crate) alloc_bytes: u64,
    pub(crate) freed_objects: u64,
    pub(crate) freed_bytes: u64,
    pub(crate) peak_bytes: u64,
}

thread_local! {
    static TRUTH: Cell<Truth> = const {
        Cell::new(Truth { alloc_objects: 0, alloc_bytes: 0, freed_objects: 0, freed_bytes: 0, peak_bytes: 0 })
    };
}

/// All threads count what they allocate here, but for the main thread, which is the test harness's: it ran before, and allocates
/// when it likes.
pub(crate) static PROCESS_OBJECTS: AtomicU64 = AtomicU64::new(0);
pub(crate) static PROCESS_BYTES: AtomicU64 = AtomicU64::new(0);

impl Truth {
    /// Runs `work` and returns what this thread has allocated and freed meanwhile.
    pub(crate) fn of<R>(work: impl FnOnce() -> R) -> (R, Truth) {
        TRUTH.set(Truth::default());
        let result = work();
        (result, TRUTH.get())
    }

    /// Returns what a measurement of the same work must find.
    pub(crate) fn of_measured(measured: &alloc_profiler::Measured) -> Truth {
        Truth {
            alloc_objects: measured.alloc_objects,
            alloc_bytes: measured.alloc_bytes,
            freed_objects: measured.freed_objects,
            freed_bytes: measured.freed_bytes,
            peak_bytes: measured.peak_bytes,
        }
    }
}

fn change(change: impl FnOnce(&mut Truth)) {
    let mut truth = TRUTH.get();
    change(&mut truth);
    truth.peak_bytes = truth.peak_bytes.max(truth.alloc_bytes.saturating_sub(truth.freed_bytes));
    TRUTH.set(truth);
}

fn is_main_thread() -> bool {
    thread_local! {
        static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
    }
    let is_main = IS_MAIN.get().unwrap_or_else(|| {
        // SAFETY: both ask for a number.
        unsafe { libc::getpid() == libc::syscall(libc::SYS_gettid) as libc::pid_t }
    });
    IS_MAIN.set(Some(is_main));
    is_main
}

fn allocated(size: usize) {
    if !is_main_thread() {
        PROCESS_OBJECTS.fetch_add(1, Relaxed);
        PROCESS_BYTES.fetch_add(size as u64, Relaxed);
    }
    change(|truth| {
        truth.alloc_objects += 1;
        truth.alloc_bytes += size as u64;
    });
}

fn freed(size: usize) {
    change(|truth| {
        truth.freed_objects += 1;
        truth.freed_bytes += size as u64;
    });
}

// SAFETY: every call goes to `System` with its own arguments, and around it only integers are added.
unsafe impl GlobalAlloc for ThreadCounting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let ptr = unsafe { System.alloc(layout) };
        if !ptr.is_null() {
            allocated(layout.size());
        }
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let ptr = unsafe { System.alloc_zeroed(layout) };
        if !ptr.is_null() {
            allocated(layout.size());
        }
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let new_ptr = unsafe { System.realloc(ptr, layout, new_size) };
        if !new_ptr.is_null() {
            freed(layout.size());
            allocated(new_size);
        }
        new_ptr
    }
}
