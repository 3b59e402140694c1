//! This program measures by `allocation-counter`, which sets the global allocator by itself.

fn main() {
    measuring::main(|work| {
        let told = allocation_counter::measure(work);
        measuring::Told {
            blocks: Some(told.count_total),
            bytes: Some(told.bytes_total),
            peak_bytes: Some(told.bytes_max),
        }
    });
}
