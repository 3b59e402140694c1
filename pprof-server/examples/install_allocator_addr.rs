//! This is as `install`, with both an address and an allocator.

mod allocators {
    use std::alloc::{GlobalAlloc, Layout, System};

    /// Stands in for another allocator.
    pub(crate) struct Forwarding;

    // SAFETY: both methods pass their arguments to `System` unchanged.
    unsafe impl GlobalAlloc for Forwarding {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promises are `System`'s.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: `block` came from `System.alloc` with this layout.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

fn main() {
    let served_at = pprof_server::install!("127.0.0.1:0", allocator = allocators::Forwarding);
    println!("{served_at:?}");
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
}
