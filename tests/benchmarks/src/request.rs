//! What a program is asked to run.

use crate::clock::Length;

/// How long a workload runs, and on how many threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) length: Length,
    pub(crate) threads: usize,
    /// How many frames lie between `main` and the workload.
    pub(crate) depth: usize,
}
