//! The workloads that every program of this package runs over its own allocator.
//!
//! A program is told one workload by name and how long to run it, and prints `name<TAB>nanoseconds per
//! operation`, with a third column where a workload has something more to say:
//!
//! ```text
//! ours-system "churn 16-515 B" [--millis 300 | --operations 100000] [--threads 2] [--depth 40]
//! ```
//!
//! By the clock (`--millis`) a slow profiler does fewer operations, so that no run takes long; by count
//! (`--operations`) two runs differ by those operations and nothing else, which is what instruction counts need.

mod clock;
mod command_line;
mod request;
mod workloads;

pub use command_line::main;
