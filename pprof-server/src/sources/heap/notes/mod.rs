//! A profile of the heap says about itself in words how sure it is, what is missing and what to do about that, and what
//! the profiler holds.
//!
//! Path: *read path*.

mod confidence;
#[cfg(feature = "http")]
mod files;
mod losses;

use super::{ALLOCATED, IN_USE};
use crate::labels;
use crate::profile::{Bytes, Stacks};
use crate::sources::losses::{Evidence, Extent, Loss, StackFacts, Told, Weight, told};
use crate::symbols::{self, OfFrames};
use alloc_profiler::{CAllocations, SizeTotals, Snapshot, Totals};
use confidence::confidence;
#[cfg(feature = "http")]
pub(crate) use files::{FileLoss, losses_by_file, symbols_of};
use losses::LOSSES;

/// Returns all there is to say of `snapshot`, which has these totals and stacks. Each note is a line. None begins with
/// `#`, which would hide it from `go tool pprof`.
pub(super) fn notes(snapshot: &Snapshot, totals: &Totals, stacks: &Stacks) -> Vec<String> {
    notes_of(&Facts::of_process(snapshot, totals, Some(stacks)), totals)
}

fn notes_of(facts: &Facts<'_>, totals: &Totals) -> Vec<String> {
    let mut lines: Vec<String> = confidence(facts.snapshot, totals).into_iter().collect();
    lines.extend(told_of(facts).into_iter().map(|loss| loss.text));
    if alloc_profiler::are_labels_kept() {
        lines.extend(labels::notes());
    }
    if alloc_profiler::c_allocations() != CAllocations::NotCounted {
        lines.push(
            "what C and C++ code allocated is counted: its samples have the label allocator=c".to_owned(),
        );
    }
    let own = &facts.snapshot.own_memory;
    lines.push(format!(
        "profiler memory: {} of at most {}, {} stacks, {} live samples",
        Bytes(own.mapped_bytes as f64),
        Bytes(own.limit_bytes as f64),
        own.stacks,
        own.live_samples
    ));
    lines
}

/// Returns what `snapshot` lacks. What names lack is told only if its stacks are given.
#[cfg(feature = "http")]
pub(crate) fn losses(snapshot: &Snapshot, stacks: Option<&Stacks>) -> Vec<Loss> {
    told_of(&Facts::of_process(snapshot, &snapshot.totals(), stacks))
}

fn told_of(facts: &Facts<'_>) -> Vec<Loss> {
    told(LOSSES.iter().map(|(reason, tell)| (*reason, tell(facts))))
}

/// The facts from which losses are told.
struct Facts<'a> {
    snapshot: &'a Snapshot,
    stacks: StackFacts<'a>,
    /// How many samples were taken, in the time of the snapshot.
    samples: f64,
    is_installed: bool,
}

impl<'a> Facts<'a> {
    fn of_process(snapshot: &'a Snapshot, totals: &Totals, stacks: Option<&'a Stacks>) -> Facts<'a> {
        Facts {
            snapshot,
            stacks: StackFacts {
                stacks,
                evidence: evidence(snapshot, stacks),
                symbols: symbols::of_program(),
                wholes: [IN_USE.whole, ALLOCATED.whole],
            },
            samples: totals.alloc_samples as f64,
            is_installed: alloc_profiler::is_installed(),
        }
    }

    /// Tells of `count` samples of all that were taken.
    fn counted(&self, count: u64, tell: impl FnOnce(&str) -> String) -> Option<Told> {
        let ratio = if self.samples > 0.0 { (count as f64 / self.samples).min(1.0) } else { 1.0 };
        let (plural, percent) = (if count == 1 { "" } else { "s" }, 100.0 * ratio);
        let subject = format!("{count} sample{plural} ({percent:.1} % of those taken)");
        (count > 0).then(|| Told { ratio, text: tell(&subject) })
    }
}

/// Collects what the stacks of `snapshot` lack, in one pass, which takes some 2 ns for each address on each stack. Without
/// `stacks`, nothing is named, and what is known of names is what the files say.
fn evidence(snapshot: &Snapshot, stacks: Option<&Stacks>) -> Evidence {
    let named = stacks.and_then(|stacks| Some((stacks, stacks.gaps()?)));
    let mut evidence = Evidence::default();
    evidence.add_stackless(extent(&snapshot.overflow));
    let mut of_frames = OfFrames::default();
    for (index, stack) in snapshot.stacks.iter().enumerate() {
        let extent = extent(&stack.by_size);
        evidence.add_stack(index, &stack.trace, extent, named);
        if stacks.is_none() {
            evidence.add_libraries(index, &stack.trace, extent, &mut of_frames);
        }
    }
    evidence
}

/// Returns what `sizes` weigh: bytes in use, and bytes allocated.
fn extent(sizes: &[SizeTotals]) -> Extent {
    let mut extent = Extent::default();
    for SizeTotals { totals, .. } in sizes {
        let in_use = Weight { value: totals.inuse_bytes, samples: totals.inuse_samples };
        let allocated = Weight { value: totals.alloc_bytes, samples: totals.alloc_samples };
        extent.add_row([in_use, allocated]);
    }
    extent
}

#[cfg(test)]
mod tests {
    use super::super::stacks;
    use super::*;
    use crate::mappings::{Mapping, Mappings};
    use crate::profile::Symbolize;
    use alloc_profiler::internal::literal;
    use alloc_profiler::{Dropped, OwnMemory, StackTotals, StackTrace};
    use std::time::Duration;

    fn sizes(inuse_bytes: f64, samples: i64) -> Vec<SizeTotals> {
        let totals = literal!(Totals {
            inuse_bytes,
            inuse_samples: samples,
            alloc_bytes: 2.0 * inuse_bytes + 1.0,
            alloc_samples: 2 * samples,
            // The error is `1 / sqrt(samples)` of the value.
            inuse_bytes_variance: inuse_bytes * inuse_bytes / samples as f64,
            alloc_bytes_variance: inuse_bytes * inuse_bytes / samples as f64,
            ..Totals::default()
        });
        vec![literal!(SizeTotals { size_class: 8, totals, ..SizeTotals::default() })]
    }

    fn snapshot() -> Snapshot {
        literal!(Snapshot {
            duration: None,
            sampling_interval: 512,
            stacks: Vec::new(),
            overflow: sizes(2048.0, 100),
            dropped: Dropped::default(),
            own_memory: literal!(OwnMemory {
                mapped_bytes: 1 << 20,
                limit_bytes: 64 << 20,
                stacks: 3,
                live_samples: 4,
                ..OwnMemory::default()
            }),
            ..alloc_profiler::snapshot()
        })
    }

    fn told(snapshot: &Snapshot, mappings: &Mappings, symbolize: Symbolize) -> Vec<String> {
        let stacks = stacks(snapshot, mappings.clone(), symbolize);
        notes_of(&facts(snapshot, Some(&stacks)), &snapshot.totals())
    }

    fn losses(snapshot: &Snapshot, stacks: Option<&Stacks>) -> Vec<Loss> {
        super::told_of(&facts(snapshot, stacks))
    }

    /// What this program of tests was built with is not what the tests are about: a sanitizer's runtime, say, has no debug
    /// information.
    fn facts<'a>(snapshot: &'a Snapshot, stacks: Option<&'a Stacks>) -> Facts<'a> {
        let mut facts = Facts::of_process(snapshot, &snapshot.totals(), stacks);
        facts.stacks.symbols = symbols::FULL.to_owned();
        facts
    }

    fn told_of(snapshot: &Snapshot) -> Vec<String> {
        told(snapshot, &Mappings::default(), Symbolize::None)
    }

    fn stack(addresses: &[usize], inuse_bytes: f64) -> StackTotals {
        let trace = StackTrace::of_return_addresses(addresses.iter().copied());
        literal!(StackTotals { trace, by_size: sizes(inuse_bytes, 1), ..StackTotals::default() })
    }

    #[test]
    fn a_healthy_profile_tells_its_error_bar_and_its_cost() {
        assert_eq!(
            told_of(&snapshot()),
            [
                "in use: 2.00 KiB ± 10.0 %, from 100 samples",
                "profiler memory: 1.00 MiB of at most 64.0 MiB, 3 stacks, 4 live samples"
            ]
        );
        let difference = literal!(Snapshot { duration: Some(Duration::from_secs(1)), ..snapshot() });
        assert_eq!(told_of(&difference)[0], "inuse_space: 2.00 KiB ± 205 B, one standard error");
    }

    #[test]
    fn each_counted_loss_is_a_sentence_with_its_share() {
        let dropped = literal!(Dropped {
            stacks_full: 1,
            live_full: 2,
            live_busy: 3,
            missed_removals: 4,
            low_stack: 5,
            truncated_stacks: 6,
            cut_stacks: 8,
            no_stack: 0,
            replaced_records: 10,
            ..Dropped::default()
        });
        let lost = literal!(Snapshot { dropped, ..snapshot() });
        let lines = told_of(&lost);
        assert_eq!(lines.len(), 10, "{lines:?}");
        let start = "1 sample (0.5 % of those taken) stand under [profiler overflow] because the limit on ";
        assert!(lines.iter().any(|line| line.starts_with(start)), "{lines:?}");
        assert!(lines.iter().all(|line| !line.starts_with('#') && !line.contains('\n')));
        let ratios: Vec<_> = losses(&lost, None).iter().map(|loss| (loss.reason, loss.ratio)).collect();
        assert_eq!(
            ratios,
            [
                ("low_stack", 0.025),
                ("truncated_stack", 0.03),
                ("cut_stack", 0.04),
                ("stacks_full", 0.005),
                ("live_full", 0.01),
                ("live_busy", 0.015),
                ("missed_removals", 0.02),
                ("replaced_records", 0.05),
            ]
        );
    }

    #[test]
    fn stacks_that_could_not_be_taken_are_a_share_of_what_is_in_use() {
        let mut lost = literal!(Snapshot { stacks: vec![stack(&[], 6144.0)], ..snapshot() });
        let loss = &losses(&lost, None)[0];
        assert_eq!((loss.reason, loss.ratio), ("unknown_stack", 0.75));
        assert!(loss.text.starts_with("no stack could be taken for 75.0 % of what is in use (1 sample), "));
        assert_eq!(told_of(&lost)[1], loss.text);
        // Nothing of it is in use, so it is a share of what was allocated: 1 of 4098 bytes.
        lost.stacks = vec![stack(&[], 0.0)];
        let text = &losses(&lost, None)[0].text;
        assert!(
            text.starts_with("no stack could be taken for 0.0 % of what was allocated (2 samples), "),
            "{text}"
        );
    }

    #[test]
    fn a_difference_counts_what_shrank_as_well() {
        let stacks = vec![stack(&[], -2048.0)];
        let lost = literal!(Snapshot { stacks, duration: Some(Duration::from_secs(1)), ..snapshot() });
        assert_eq!(losses(&lost, None)[0].ratio, 0.5);
    }

    #[test]
    fn names_that_are_missing_are_told_by_file() {
        let mapping = |start: u64, path: &str| Mapping {
            start,
            limit: start + 0x1000,
            path: path.into(),
            // The addresses are looked up in this test's own file, which has nothing there.
            load_bias: 1 << 40,
            is_main: start == 0x1000,
            ..Mapping::default()
        };
        // The paths lead nowhere, so nothing has a name.
        let mappings = Mappings::new(vec![
            mapping(0x1000, "/nowhere/app"),
            mapping(0x2000, "/nowhere/libc.so.6"),
            mapping(0x3000, "/nowhere/libplugin.so"),
            mapping(0x4000, "[unknown library]"),
        ]);
        let reasons = |addresses: &[usize]| {
            let lost = literal!(Snapshot { stacks: vec![stack(addresses, 2048.0)], ..snapshot() });
            let stacks = stacks(&lost, mappings.clone(), Symbolize::Names);
            losses(&lost, Some(&stacks)).iter().map(|loss| (loss.reason, loss.ratio)).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&[0x3010, 0x1010, 0x2010]), [("program_names", 0.5), ("library_symbols", 0.5)]);
        assert_eq!(
            reasons(&[0x1010, 0x2010]),
            [("program_names", 0.5)],
            "every thread begins in the C library"
        );
        assert_eq!(reasons(&[0x2010]), [("library_names", 0.5)], "but this row is in it");
        assert_eq!(reasons(&[0x4010]), [("unknown_library", 0.5)]);
        assert_eq!(reasons(&[0x9010]), [("code_in_no_file", 0.5)]);
        let lost = literal!(Snapshot { stacks: vec![stack(&[0x3010], 2048.0)], ..snapshot() });
        let text = &told(&lost, &mappings, Symbolize::Full)[1];
        assert!(
            text.starts_with(
                "libplugin.so, none: its file, /nowhere/libplugin.so, is gone, so its functions stand as"
            ) && text.ends_with(". This concerns 50.0 % of what is in use (1 sample)"),
            "{text}"
        );
        // Nothing was to be named, so nothing is missing.
        assert_eq!(told(&lost, &mappings, Symbolize::None).len(), 2);
    }

    #[test]
    fn without_proc_that_is_told_and_nothing_that_follows_from_it() {
        let lost = literal!(Snapshot { stacks: vec![stack(&[0x3010], 2048.0)], ..snapshot() });
        let lines = told(&lost, &Mappings::default(), Symbolize::Full);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("/proc/self/maps cannot be read"), "{lines:?}");
    }
}
