//! A program that holds exactly 1 MiB in small blocks of one place, until it is killed. `scripts/check-fleet.sh --replay` runs 200 of it, to see
//! how far off the merged figure of that place is.

use std::hint::black_box;
use std::thread;

const BLOCK_BYTES: usize = 128;
const BLOCKS: usize = (1 << 20) / BLOCK_BYTES;

#[inline(never)]
fn block() -> Box<[u8; BLOCK_BYTES]> {
    black_box(Box::new([1; BLOCK_BYTES]))
}

fn main() {
    // The interval of the environment holds from here on.
    let _pprof = pprof_server::install!();
    let mut kept = Vec::with_capacity(BLOCKS);
    kept.resize_with(BLOCKS, block);
    println!("{} blocks are held", black_box(&kept).len());
    loop {
        thread::park();
    }
}
