//! This program measures by `stats_alloc`.

use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

fn main() {
    measuring::main(|work| {
        let region = stats_alloc::Region::new(ALLOCATOR);
        work();
        let told = region.change();
        measuring::Told {
            blocks: Some(told.allocations as u64),
            bytes: Some(told.bytes_allocated as u64),
            peak_bytes: None,
        }
    });
}
