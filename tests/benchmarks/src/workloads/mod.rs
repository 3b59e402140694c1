//! What is measured, by name.

mod in_c;
mod loops;
mod memory;
mod threads;

#[cfg(feature = "real")]
mod json;
#[cfg(feature = "real")]
mod server;
#[cfg(feature = "real")]
mod syntax;
#[cfg(feature = "real")]
mod text;

use crate::request::Request;

/// What a workload says when it is done.
pub(crate) struct Outcome {
    /// How many nanoseconds an operation took, by the clock on the wall.
    pub(crate) nanos: f64,
    /// A second figure with its name, such as `p99_us=81.2`, where there is one.
    pub(crate) note: Option<String>,
}

impl From<f64> for Outcome {
    fn from(nanos: f64) -> Self {
        Outcome { nanos, note: None }
    }
}

type Workload = fn(&Request) -> Outcome;

pub(crate) const ALL: &[(&str, Workload)] = &[
    ("alloc+free 64 B", loops::alloc_free),
    ("churn 16-515 B", loops::churn),
    ("grow to 32 MB", loops::grow),
    ("regrow 64-128 B", loops::regrow),
    ("aligned 256 B", loops::aligned),
    ("zeroed 4 KiB", loops::zeroed),
    ("C alloc+free 64 B", in_c::alloc_free),
    ("C regrow 64-128 B", in_c::regrow),
    ("C zeroed 4 KiB", in_c::zeroed),
    ("handed over", threads::handed_over),
    ("live blocks", memory::live_blocks),
    #[cfg(feature = "real")]
    ("JSON", json::parse),
    #[cfg(feature = "real")]
    ("HTTP server", server::serve),
    #[cfg(feature = "real")]
    ("text", text::index),
    #[cfg(feature = "real")]
    ("syntax trees", syntax::parse),
];
