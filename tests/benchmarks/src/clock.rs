//! Measures how long an operation takes, in batches until the time is up or with an exact number of operations.

use std::time::{Duration, Instant};

/// How much of a workload is to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// It runs for this time, after a tenth of it to warm up.
    Time(Duration),
    /// It does exactly so many operations, the first one cold.
    Operations(u64),
}

/// Returns the nanoseconds per operation of `run`, which is given how many operations to do.
///
/// `batch` operations must take some ten microseconds at least, so that reading the clock between batches costs nothing
/// that could be seen.
pub(crate) fn nanos_per_operation(length: Length, batch: u64, mut run: impl FnMut(u64)) -> f64 {
    match length {
        Length::Operations(operations) => {
            let start = Instant::now();
            run(operations);
            start.elapsed().as_nanos() as f64 / operations.max(1) as f64
        }
        Length::Time(time) => {
            let mut until = |time: Duration| {
                let start = Instant::now();
                let mut operations = 0;
                loop {
                    run(batch);
                    operations += batch;
                    let elapsed = start.elapsed();
                    if elapsed >= time {
                        return elapsed.as_nanos() as f64 / operations as f64;
                    }
                }
            };
            until(time / 10);
            until(time)
        }
    }
}
