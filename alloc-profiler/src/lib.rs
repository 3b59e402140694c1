//! stub
mod snapshot;
pub use snapshot::{Dropped, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use std::alloc::{GlobalAlloc, Layout, System};

/// Mean bytes between samples unless set otherwise: 512 KiB, like Go.
pub const DEFAULT_SAMPLING_INTERVAL: u64 = 512 * 1024;
/// Frames kept of a stack, leaf side first.
pub const MAX_STACK_DEPTH: usize = 128;

/// stub
#[derive(Debug)]
pub struct SamplingAllocator<A = System> {
    inner: A,
}
impl SamplingAllocator<System> {
    /// stub
    pub const fn new() -> Self {
        SamplingAllocator { inner: System }
    }
}
impl<A> SamplingAllocator<A> {
    /// stub
    pub const fn with_allocator(inner: A) -> Self {
        SamplingAllocator { inner }
    }
}
unsafe impl<A: GlobalAlloc> GlobalAlloc for SamplingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { self.inner.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { self.inner.dealloc(ptr, layout) }
    }
}
/// Hard caps on what the profiler keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// bytes
    pub memory_bytes: usize,
}
/// The copy of the profile now. Cost: see docs.
pub fn snapshot() -> Snapshot {
    Snapshot {
        taken_at: std::time::SystemTime::now(),
        duration: None,
        sampling_interval: sampling_interval(),
        stacks: Vec::new(),
        overflow: Vec::new(),
        dropped: Dropped::default(),
        own_memory: OwnMemory::default(),
    }
}
/// Upper bound of the size class of a block of `size` bytes.
pub fn size_class(size: usize) -> u64 {
    size as u64
}
/// Mean bytes between samples in force.
pub fn sampling_interval() -> u64 {
    DEFAULT_SAMPLING_INTERVAL
}
/// 1 = every allocation, 0 = off.
pub fn set_sampling_interval(_bytes: u64) {}
/// Reads `ALLOC_PROFILER_INTERVAL`, once per process; a bad value warns on stderr once and changes nothing.
pub fn init_from_env() {}
/// True once a `SamplingAllocator` has served an allocation of this process, i.e. it is the global allocator.
pub fn is_installed() -> bool {
    true
}
/// Runs `f` with this thread's allocations left out of the profile (frees still un-track). Nests; ends on panic too.
pub fn unsampled<R>(f: impl FnOnce() -> R) -> R {
    f()
}
