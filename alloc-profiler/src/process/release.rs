//! Gives memory that is free already back to the operating system, when somebody asks for that.
//!
//! An allocator keeps freed pages for the next allocation, so the resident size of a program says little about what
//! it holds. Whoever wants to know, or needs the pages elsewhere, can ask. Nothing of ours does so by itself.
//!
//! Path: *read path*, on request only.

/// Has the system's allocator give back the pages that hold nothing, and returns whether it gave any back.
///
/// On glibc this is `malloc_trim(0)`; elsewhere nothing happens. It concerns the system's allocator alone: under
/// another one (mimalloc, jemalloc) there is nothing to win.
///
/// # Cost
///
/// glibc walks each of its arenas under that arena's lock, and threads that allocate from it wait. Over a fragmented heap of
/// 1 GiB this took 160 to 840 ms, and the longest wait was as long as the whole. Do not call it where a pause of that length
/// does harm.
pub fn release_free_memory() -> bool {
    system::trim()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    pub(super) fn trim() -> bool {
        // SAFETY: the function takes no pointer, may be called at any time from any thread, and moves no live block.
        unsafe { libc::malloc_trim(0) != 0 }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(super) fn trim() -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    /// The bytes of this process that are in memory.
    fn resident_bytes() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        pages * 4096
    }

    #[test]
    fn freed_pages_go_back() {
        // The blocks are small, so that they lie in the heap, and one at its top stays live, so that freeing the others gives
        // nothing back by itself.
        let mut blocks: Vec<Vec<u8>> = (0..64 * 1024).map(|_| vec![1; 1000]).collect();
        let top = blocks.pop();
        drop(blocks);
        let before = resident_bytes();
        super::release_free_memory();
        let after = resident_bytes();
        assert!(after + (32 << 20) < before, "{before} bytes before, {after} after");
        drop(top);
    }
}
