//! Samples its own CPU time for a second, and prints how often each stack was met. `scripts/check-handler.py` reads its machine
//! code.

use std::time::{Duration, Instant};

fn main() -> Result<(), capture::StartError> {
    let mut capture = capture::CpuCapture::start(100)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        let next = Instant::now() + capture::LOOK_EVERY;
        while Instant::now() < next {
            std::hint::black_box((0..10_000).sum::<u64>());
        }
        capture.look();
    }
    for stack in capture.finish().stacks {
        println!("{:4} {} {:?}", stack.periods, stack.thread, stack.frames);
    }
    Ok(())
}
