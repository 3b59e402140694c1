//! This program measures by `divan::AllocProfiler`, which tells what it has counted in the table that divan prints, and nowhere else.

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn a_block_of_100_bytes() {
    drop(std::hint::black_box(vec![1_u8; 100]));
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn a_vector_grows_to_1000_numbers() {
    let mut numbers: Vec<u64> = Vec::new();
    for number in 0..1000 {
        numbers.push(std::hint::black_box(number));
    }
    drop(std::hint::black_box(numbers));
}

#[divan::bench(sample_count = 1)]
fn a_million_blocks() {
    for _ in 0..1_000_000 {
        drop(std::hint::black_box(Box::new([0_u64; 8])));
    }
}
