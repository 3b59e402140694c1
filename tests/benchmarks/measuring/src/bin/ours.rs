//! This program measures by `alloc-profiler`.

#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();

fn main() {
    measuring::main(|work| {
        let ((), measured) = alloc_profiler::measure(work).expect("it is installed");
        measuring::Told {
            blocks: Some(measured.alloc_objects),
            bytes: Some(measured.alloc_bytes),
            peak_bytes: Some(measured.peak_bytes),
        }
    });
}
