//! This program measures by `dhat`, in its mode for tests.

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    measuring::main(|work| {
        let _profiler = dhat::Profiler::builder().testing().build();
        work();
        let told = dhat::HeapStats::get();
        measuring::Told {
            blocks: Some(told.total_blocks),
            bytes: Some(told.total_bytes),
            peak_bytes: Some(told.max_bytes as u64),
        }
    });
}
