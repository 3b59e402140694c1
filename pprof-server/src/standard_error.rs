//! This crate writes lines on the host program's standard error, when it has something to say without being asked.
//!
//! Path: *read path*.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::environment::variable;

/// The variable that silences what is not an error.
const QUIET_VARIABLE: &str = "PPROF_QUIET";

/// Writes one line about what is as it should be, unless `PPROF_QUIET=1` says that nobody wants to know.
pub(crate) fn tell(text: &str) {
    if variable(QUIET_VARIABLE).is_none_or(|value| value != "1") {
        warn(text);
    }
}

/// Writes one line about what went wrong. `eprintln!` would panic where standard error is a closed pipe.
pub(crate) fn warn(text: &str) {
    let _ = std::io::stderr().write_all(format!("pprof-server: {text}\n").as_bytes());
}

/// Writes one line about what went wrong, unless `is_told` says that this was done before.
pub(crate) fn warn_once(is_told: &AtomicBool, text: &str) {
    // Not a `Once`: a child of `fork` might wait for a thread that it does not have.
    if !is_told.swap(true, Relaxed) {
        warn(text);
    }
}
