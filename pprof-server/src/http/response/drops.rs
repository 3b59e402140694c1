//! This lists the reasons for which samples are dropped or cut, for the page, the metrics and the time line alike.
//!
//! Path: *read path*. Pure.

use alloc_profiler::Dropped;
use serde::Serializer;

/// How many samples were dropped or cut for one reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drops {
    /// Names the reason in one word, which is a key of JSON and the label of a metric.
    pub(super) reason: &'static str,
    pub(super) count: u64,
    /// What such a sample is, after its number.
    pub(super) meaning: &'static str,
}

/// All reasons, whether there are such samples or not.
pub(super) fn by_reason(dropped: Dropped) -> [Drops; 9] {
    let Dropped {
        stacks_full,
        live_full,
        live_busy,
        missed_removals,
        low_stack,
        truncated_stacks,
        cut_stacks,
        no_stack,
        replaced_records,
        ..
    } = dropped;
    [
        ("stacks_full", stacks_full, "counted as overflow: too many stacks"),
        ("live_full", live_full, "missing from in-use: too many live samples"),
        ("live_busy", live_busy, "missing from in-use: table busy"),
        ("missed_removals", missed_removals, "possibly still counted after free"),
        ("low_stack", low_stack, "without a stack: too little of the thread's own was left"),
        ("truncated_stacks", truncated_stacks, "with a stack too deep to keep whole"),
        ("cut_stacks", cut_stacks, "with a stack that ends at a function without unwind tables"),
        ("no_stack", no_stack, "without a stack: none could be taken"),
        ("replaced_records", replaced_records, "missing from in-use: another block lies at the same address"),
    ]
    .map(|(reason, count, meaning)| Drops { reason, count, meaning })
}

/// Writes an object of JSON with the count of each reason.
pub(super) fn serialize<S: Serializer>(dropped: &Dropped, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(by_reason(*dropped).map(|drops| (drops.reason, drops.count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler does not tell here when `Dropped` gets another field.
    #[test]
    fn every_count_has_a_reason() {
        let dropped = Dropped::default();
        let reasons = by_reason(dropped).map(|drops| format!("{}: {}", drops.reason, drops.count));
        assert_eq!(format!("Dropped {{ {} }}", reasons.join(", ")), format!("{dropped:?}"));
    }
}
