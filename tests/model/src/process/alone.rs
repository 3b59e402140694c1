//! This is as in the profiler, but nobody forks here.

pub(crate) struct Alone(());
