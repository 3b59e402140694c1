//! This is as in the profiler, with the cap on live samples alone.

pub(crate) fn live_samples() -> usize {
    1 << 20
}
