//! The first note of a profile says in a sentence how sure it is.
//!
//! Path: *read path*.

use crate::profile::Bytes;
use alloc_profiler::{Snapshot, Totals};

/// Returns the error bar of the whole of `snapshot`, which has these totals. A part of it rests on fewer samples and is less sure. Nothing is said if
/// there are no samples: what is not known is not said to be 0.
pub(super) fn confidence(snapshot: &Snapshot, totals: &Totals) -> Option<String> {
    let error = totals.inuse_bytes_standard_error()?;
    let inuse = Bytes(totals.inuse_bytes);
    if snapshot.duration.is_some() {
        // What changed may be next to nothing, and then many times less than its error.
        return Some(format!("inuse_space: {inuse} ± {}, one standard error", Bytes(error)));
    }
    let samples = totals.inuse_samples;
    let plural = if samples == 1 { "" } else { "s" };
    let percent = 100.0 * error / totals.inuse_bytes;
    // No sample that stands for more than itself was ever taken.
    let is_complete = snapshot.sampling_interval == 1 && totals.alloc_bytes_variance == 0.0;
    Some(match error > 0.0 {
        true => format!("in use: {inuse} ± {percent:.1} %, from {samples} sample{plural}"),
        false if is_complete => format!("in use: {inuse}, every allocation recorded"),
        false => format!("in use: {inuse} ± 0.0 %, from {samples} sample{plural} taken with certainty"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, Totals};
    use std::time::Duration;

    fn snapshot(sampling_interval: u64, totals: Totals) -> Snapshot {
        literal!(Snapshot {
            sampling_interval,
            stacks: Vec::new(),
            overflow: vec![literal!(SizeTotals { totals, ..SizeTotals::default() })],
            ..alloc_profiler::snapshot()
        })
    }

    fn said(interval: u64, inuse_samples: i64, in_use_variance: f64, allocated_variance: f64) -> String {
        let totals = literal!(Totals {
            inuse_bytes: 2048.0,
            inuse_samples,
            inuse_bytes_variance: in_use_variance,
            alloc_bytes_variance: allocated_variance,
            ..Totals::default()
        });
        confidence(&snapshot(interval, totals), &totals).unwrap()
    }

    /// The error follows from the samples, whatever the interval is by now.
    #[test]
    fn certainty_is_that_of_the_samples() {
        assert_eq!(said(512, 100, 4096.0, 4096.0), "in use: 2.00 KiB ± 3.1 %, from 100 samples");
        assert_eq!(said(1, 100, 4096.0, 4096.0), "in use: 2.00 KiB ± 3.1 %, from 100 samples");
        assert_eq!(said(1, 100, 0.0, 0.0), "in use: 2.00 KiB, every allocation recorded");
        let certain = "in use: 2.00 KiB ± 0.0 %, from 1 sample taken with certainty";
        assert_eq!(said(512, 1, 0.0, 0.0), certain);
        // Blocks that were allocated earlier and not sampled may be in use.
        assert_eq!(said(1, 1, 0.0, 4096.0), certain);
    }

    #[test]
    fn nothing_is_said_without_samples() {
        let nothing = Totals::default();
        assert_eq!(confidence(&snapshot(512, nothing), &nothing), None);
    }

    #[test]
    fn a_difference_has_its_own_error() {
        let totals = literal!(Totals {
            inuse_bytes: -2048.0,
            inuse_samples: -3,
            inuse_bytes_variance: 205.0 * 205.0,
            ..Totals::default()
        });
        let change = literal!(Snapshot { duration: Some(Duration::from_secs(1)), ..snapshot(512, totals) });
        let said = confidence(&change, &totals).unwrap();
        assert_eq!(said, "inuse_space: -2.00 KiB ± 205 B, one standard error");
    }
}
