//! As in the profiler. Nobody forks here.

pub(crate) struct Alone(());
