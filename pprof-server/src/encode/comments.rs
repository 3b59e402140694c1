//! What the profile says about itself in words: how sure it is, what is missing, what the profiler holds.
//!
//! `go tool pprof` prints these lines above every report. Called by `builder`.
//!
//! Path: *read path*.

use super::units::Bytes;
use alloc_profiler::Snapshot;

/// One line each; none begins with `#`, which would hide it.
pub(crate) fn comments(snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(confidence(snapshot));
    let dropped = &snapshot.dropped;
    let reasons = [
        (dropped.stacks_full, "under [profiler overflow] for want of room for more stacks"),
        (dropped.live_full, "missing from inuse_* for want of room for more live samples"),
        (dropped.live_busy, "missing from inuse_* because a lock could not be had in time"),
        (
            dropped.missed_removals,
            "perhaps still in inuse_* although freed, their removal having been missed",
        ),
        (dropped.low_stack, "without a stack because too little of the thread's own was left"),
        (dropped.truncated_stacks, "without their outermost frames because the stack was too deep"),
    ];
    for (count, what) in reasons {
        if count > 0 {
            lines.push(format!("profiler: samples {what}: {count}"));
        }
    }
    let own = &snapshot.own_memory;
    lines.push(format!(
        "profiler memory: {} of at most {}, {} stacks, {} live samples",
        Bytes(own.mapped_bytes as f64),
        Bytes(own.limit_bytes as f64),
        own.stacks,
        own.live_samples
    ));
    lines
}

/// That a limit on the profile's size was reached.
pub(crate) fn merged_under_other(merged: usize, kept: usize) -> String {
    format!(
        "profile: samples merged under [other] for want of room: {merged}, the {kept} most important kept \
         (limit=none keeps all)"
    )
}

/// The error bar of the whole. A part of it rests on fewer samples and is less sure.
fn confidence(snapshot: &Snapshot) -> Option<String> {
    let totals = snapshot.totals();
    let samples = totals.inuse_samples;
    // A difference of two estimates has the errors of both, which it no longer knows.
    if snapshot.duration.is_some() || samples <= 0 {
        return None;
    }
    let inuse = Bytes(totals.inuse_bytes);
    Some(if snapshot.sampling_interval == 1 {
        format!("in use: {inuse}, every allocation recorded")
    } else {
        format!("in use: {inuse} ± {:.1} %, from {samples} samples", 100.0 / (samples as f64).sqrt())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::{Dropped, OwnMemory, SizeTotals, Totals};
    use std::time::Duration;

    fn snapshot() -> Snapshot {
        let totals = Totals { inuse_bytes: 2048.0, inuse_samples: 100, ..Totals::default() };
        Snapshot {
            duration: None,
            sampling_interval: 512,
            overflow: vec![SizeTotals { size_class: 8, totals, ages: Vec::new() }],
            dropped: Dropped::default(),
            own_memory: OwnMemory {
                mapped_bytes: 1 << 20,
                limit_bytes: 64 << 20,
                stacks: 3,
                live_samples: 4,
            },
            ..alloc_profiler::snapshot()
        }
    }

    #[test]
    fn a_healthy_profile_tells_its_error_bar_and_its_cost() {
        assert_eq!(
            comments(&snapshot()),
            [
                "in use: 2.00 KiB ± 10.0 %, from 100 samples",
                "profiler memory: 1.00 MiB of at most 64.0 MiB, 3 stacks, 4 live samples"
            ]
        );
        let exact = Snapshot { sampling_interval: 1, ..snapshot() };
        assert_eq!(comments(&exact)[0], "in use: 2.00 KiB, every allocation recorded");
        let difference = Snapshot { duration: Some(Duration::from_secs(1)), ..snapshot() };
        assert_eq!(comments(&difference).len(), 1);
    }

    #[test]
    fn each_reason_has_a_line_and_none_is_hidden() {
        let dropped = Dropped {
            stacks_full: 1,
            live_full: 2,
            live_busy: 3,
            missed_removals: 4,
            low_stack: 5,
            truncated_stacks: 6,
        };
        let lines = comments(&Snapshot { dropped, ..snapshot() });
        assert_eq!(lines.len(), 8);
        assert!(lines[1].ends_with("under [profiler overflow] for want of room for more stacks: 1"));
        assert!(lines.iter().all(|line| !line.starts_with('#') && !line.contains('\n')));
    }
}
