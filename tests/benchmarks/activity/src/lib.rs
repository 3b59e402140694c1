//! Each program of this package has another tool watch the same CPU time, or the same tasks. It prints what the tool says beside the truth,
//! which the program knows itself.
//!
//! The first argument says what is done:
//!
//! - `cpu THREADS` has so many threads burn CPU time in two functions, 3 : 1. It prints what there was of it, and what the tool says.
//! - `short` does the same with threads that live for 5 ms each.
//! - `work HZ` does a fixed amount of work on two threads, at 40 frames, and prints the CPU time that it took.
//! - `tasks COUNT` has so many tasks of each kind wait. It prints how many of them the tool finds, and how long that takes.

pub mod cpu;
pub mod tasks;

/// Returns an argument of the program.
pub fn argument(number: usize) -> Option<String> {
    std::env::args().nth(number)
}
