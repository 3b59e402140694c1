//! What a reader of the report on suspects has to know, a sentence each.
//!
//! Path: *read path*.

use std::time::Duration;

use alloc_profiler::Snapshot;

use super::Wanted;
use crate::history::{History, Record};
use crate::profile::Time;

/// Changes of the interval told one by one.
const MAX_CHANGES_TOLD: usize = 3;
/// A window that was asked for is there if so much of it is recorded.
const WHOLE_SHARE: f64 = 0.9;

/// The notes about the records that were looked at.
pub(super) fn notes(history: &History, now: &Snapshot, records: &[&Record], wanted: Wanted) -> Vec<String> {
    let mut notes = interval_changes(now, records);
    let recorded = records.first().map_or(Duration::ZERO, |first| first.age(now.taken_at_monotonic));
    if history.period().is_none() {
        notes.push(
            "the recorder is off, so nothing is known of the past; PPROF_RECORD=60s in the environment turns it on"
                .to_owned(),
        );
    } else if let Some(window) = wanted.window
        && recorded < window.mul_f64(WHOLE_SHARE)
    {
        notes.push(format!(
            "a window of {} was asked for, but only the last {} of it are recorded",
            Time(window),
            Time(recorded)
        ));
    }
    notes.extend(history.notes());
    notes
}

/// Returns a sentence for each change of the sampling interval in the window, the latest first. If there are more than
/// a few, the earlier ones are left out.
fn interval_changes(now: &Snapshot, records: &[&Record]) -> Vec<String> {
    let at = now.taken_at_monotonic;
    let mut intervals: Vec<(Duration, u64)> =
        records.iter().map(|record| (record.age(at), record.summary.sampling_interval)).collect();
    intervals.push((Duration::ZERO, now.sampling_interval));
    let changes = intervals.windows(2).rev().filter(|pair| pair[0].1 != pair[1].1);
    let sentence = |pair: &[(Duration, u64)]| {
        let [(before, from), (after, to)] = [pair[0], pair[1]];
        format!(
            "the sampling interval changed from {from} to {to} bytes, between {} and {} ago: errors are those of the \
             samples, whatever interval each was taken at",
            Time(before),
            Time(after)
        )
    };
    let mut notes: Vec<String> = changes.clone().take(MAX_CHANGES_TOLD).map(sentence).collect();
    let untold = changes.count().saturating_sub(MAX_CHANGES_TOLD);
    if untold > 0 {
        notes.push(format!("the sampling interval changed {untold} times more before"));
    }
    notes
}
