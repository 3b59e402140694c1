//! As in the profiler: the cap on live samples.

pub(crate) fn live_samples() -> usize {
    1 << 20
}
