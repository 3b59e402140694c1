//! Why a capture could not begin.

use std::{error, fmt, io};

/// Why a capture could not begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Another capture is under way.
    InUse,
    /// There is no capture machine for this platform, or its C library has no index of code.
    NotOnThisPlatform,
    /// The program handles all of the signals that could be used.
    NoSignal,
    /// The system refuses something that is needed: memory, a timer, or the list of threads.
    Refused {
        /// What it refuses, such as `a timer`.
        what: &'static str,
        /// Holds what the system answered.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Go uses these words.
            StartError::InUse => f.write_str("cpu profiling already in use"),
            StartError::NotOnThisPlatform => f.write_str(
                "CPU profiles are taken on Linux on x86-64 with glibc 2.35 or later only, and this program runs elsewhere",
            ),
            StartError::NoSignal => f.write_str(
                "the program handles all of SIGPROF, SIGVTALRM, SIGSTKFLT and SIGPWR itself; leave one of them to the profiler",
            ),
            StartError::Refused { what, source } => write!(f, "the system refuses {what}: {source}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StartError::Refused { source, .. } => Some(source),
            _ => None,
        }
    }
}
