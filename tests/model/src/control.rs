//! As in the profiler: the caps.

pub(crate) struct Limits {
    pub(crate) live_samples: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Limits = Limits { live_samples: 1 << 20 };
}
