//! What keeps blocks alive, as programs take it.
//!
//! Path: *read path*.

use crate::sources::holders::{Choice, find};
use alloc_profiler::unsampled;

/// Says in sentences what keeps the blocks alive that stacks with `function` in one of their functions' names have allocated,
/// as `/debug/pprof/holders?stack=` does.
///
/// Each sentence names a site and the chain of holders that most of its blocks have, with the share and its error. The last ones
/// say how sure that is.
///
/// # Errors
///
/// It is a sentence that says why memory cannot be searched, and what to do about that.
///
/// # Cost
///
/// It names the stacks of all samples, and goes over all memory of the process one to five times, in 30 s at most. It asks
/// for up to 24 MiB meanwhile.
pub fn held_by(function: &str) -> Result<Vec<String>, String> {
    unsampled(|| {
        find(&Choice { function: Some(function.to_owned()), ..Choice::default() })
            .map(|held| held.into_notes())
    })
}
