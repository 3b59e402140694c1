//! What a heap of small blocks weighs, with and without a profiler.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use super::Outcome;
use super::loops::Numbers;
use crate::clock::Length;
use crate::request::Request;

/// How many blocks are live at once if no number of operations says otherwise. They take about a gigabyte.
const BLOCKS: u64 = 8_000_000;

/// Many live blocks of 16 to 255 bytes, or, above 10 GiB of them being asked for by `BENCH_LIVE_BYTES`, of 64 B
/// to 64 KiB. Tells the resident set with all of them live, and how many frees would have to look for a record,
/// though there is none.
pub(super) fn live_blocks(request: &Request) -> Outcome {
    let bytes: Option<u64> = std::env::var("BENCH_LIVE_BYTES").ok().and_then(|bytes| bytes.parse().ok());
    let count = match request.length {
        Length::Operations(blocks) => blocks,
        Length::Time(_) => BLOCKS,
    };
    let mut numbers = Numbers(1);
    let mut held: Vec<Box<[u8]>> = Vec::with_capacity(count as usize);
    let mut live_bytes = 0;
    let start = Instant::now();
    while bytes.map_or((held.len() as u64) < count, |bytes| live_bytes < bytes) {
        let size = match bytes {
            None => 16 + numbers.next() % 240,
            // There are as many blocks of each power of two.
            Some(_) => (64 << (numbers.next() % 10)) + numbers.next() % 64,
        };
        held.push(black_box(vec![1; size].into_boxed_slice()));
        live_bytes += size as u64;
    }
    let nanos = start.elapsed().as_nanos() as f64 / held.len() as f64;
    let note = format!("rss_kib={}", rss_kib());
    let looked_for =
        held.iter().filter(|block| alloc_profiler::testing::may_be_sampled(block.as_ptr().addr())).count();
    let sampled = alloc_profiler::snapshot().own_memory.live_samples;
    let needlessly = (looked_for as u64).saturating_sub(sampled);
    let note =
        Some(format!("{note} sampled={sampled} looked_for_needlessly={needlessly} blocks={}", held.len()));
    black_box(&held);
    // The process ends here anyway.
    std::mem::forget(held);
    Outcome { nanos, note }
}

/// Returns how much of this process is in memory, file pages aside, in KiB.
fn rss_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
