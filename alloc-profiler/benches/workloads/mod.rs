//! What both programs run: small loops that live on the allocator, and one real job.
//!
//! Each prints `name<TAB>nanoseconds per operation`. The program is told the workload by its first argument
//! that names one, so that the script can interleave the two allocators run by run.

use std::hint::black_box;
use std::time::Instant;

/// Runs the workload named on the command line, or all of them.
pub(crate) fn main() {
    type Workload = (&'static str, fn() -> f64);
    let workloads: [Workload; 3] =
        [("alloc+free 64 B", alloc_free), ("churn 16-515 B", churn), ("parse JSON", parse_json)];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for (name, run) in workloads {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            println!("{name}\t{:.3}", run());
        }
    }
}

fn nanos_per(operations: u64, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / operations as f64
}

fn alloc_free() -> f64 {
    const OPERATIONS: u64 = 20_000_000;
    nanos_per(OPERATIONS, || {
        for _ in 0..OPERATIONS {
            drop(black_box(Box::new([0_u64; 8])));
        }
    })
}

/// 20 000 live blocks, one replaced at a time by one of another size.
fn churn() -> f64 {
    const OPERATIONS: u64 = 10_000_000;
    let mut state: u64 = 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut blocks: Vec<Vec<u8>> = (0..20_000).map(|_| Vec::with_capacity(16 + next() % 500)).collect();
    nanos_per(OPERATIONS, || {
        for _ in 0..OPERATIONS {
            let index = next() % blocks.len();
            blocks[index] = black_box(Vec::with_capacity(16 + next() % 500));
        }
    })
}

/// A document of 2 000 records with nested arrays and maps, parsed into a tree and dropped.
fn parse_json() -> f64 {
    const OPERATIONS: u64 = 400;
    let records: Vec<String> = (0..2000)
        .map(|n| {
            format!(
                r#"{{"id":{n},"name":"user {n}","tags":["a{n}","b","c"],"point":{{"x":{n}.5,"y":-{n}}}}}"#
            )
        })
        .collect();
    let document = format!("[{}]", records.join(","));
    nanos_per(OPERATIONS, || {
        for _ in 0..OPERATIONS {
            let value: serde_json::Value = serde_json::from_str(&document).expect("valid JSON");
            black_box(value);
        }
    })
}
