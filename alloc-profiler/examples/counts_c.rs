//! scripts/check-c-allocations.sh links this program in many ways. It says whether C's allocations are counted, and fails if its own are not.

use alloc_profiler::{
    CAllocations, CLibrary, SamplingAllocator, c_allocations, set_sampling_interval, snapshot,
};

alloc_profiler::define_malloc!();

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CLibrary> = SamplingAllocator::with_allocator(CLibrary);

fn main() {
    let found = c_allocations();
    if found != CAllocations::NotCounted {
        set_sampling_interval(1);
        let before = snapshot();
        let line = std::ffi::CString::new("x".repeat(1000)).expect("no zero");
        // SAFETY: the text is terminated; the copy is leaked.
        std::hint::black_box(unsafe { libc::strdup(line.as_ptr()) });
        let growth = snapshot().since(&before);
        let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size);
        let [mut of_rust, mut of_c] = [0.0; 2];
        sizes
            .for_each(|size| *if size.is_by_c { &mut of_c } else { &mut of_rust } += size.totals.inuse_bytes);
        assert_eq!((of_rust, of_c), (1001.0, 1001.0));
    }
    println!("{found:?}");
}
