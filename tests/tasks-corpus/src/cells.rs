//! Where the memory of a task is, as the allocator knows it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Tokio aligns the memory of a task, and nothing else that `spawn` allocates, to this.
const CELL_ALIGNMENT: usize = 128;

thread_local! {
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which notes the last block that had the alignment of a task.
#[derive(Debug)]
pub(crate) struct CellRecorder;

// SAFETY: every call is the system's own, with the same arguments. What is noted is a number.
unsafe impl GlobalAlloc for CellRecorder {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { System.alloc(layout) };
        if layout.align() == CELL_ALIGNMENT {
            LAST.set(block.addr());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Spawns a task by `spawn`, and returns what that returned and the address of the task's memory.
pub(crate) fn of<T>(spawn: impl FnOnce() -> T) -> (T, usize) {
    LAST.set(0);
    let spawned = spawn();
    let cell = LAST.get();
    assert_ne!(cell, 0, "tokio does not align tasks to {CELL_ALIGNMENT} bytes any more");
    (spawned, cell)
}
