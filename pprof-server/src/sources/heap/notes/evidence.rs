//! How much of a profile each loss concerns: found in one pass over its stacks.
//!
//! Path: *read path*. Cost: some 2 ns for each address on each stack.

use crate::profile::{Frames, Gap, Gaps, Home, Lack, Names};
use alloc_profiler::{SizeTotals, Snapshot, StackTotals};
use std::collections::HashMap;
use std::fmt;

/// How much something concerns. Values of a difference count without their signs, so that growth does not cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    inuse_bytes: f64,
    inuse_samples: i64,
    alloc_bytes: f64,
    alloc_samples: i64,
}

impl Extent {
    fn of(sizes: &[SizeTotals]) -> Extent {
        let mut extent = Extent::default();
        for SizeTotals { totals, .. } in sizes {
            extent.inuse_bytes += totals.inuse_bytes.abs();
            extent.inuse_samples += totals.inuse_samples.abs();
            extent.alloc_bytes += totals.alloc_bytes.abs();
            extent.alloc_samples += totals.alloc_samples.abs();
        }
        extent
    }

    fn add(&mut self, other: Extent) {
        self.inuse_bytes += other.inuse_bytes;
        self.inuse_samples += other.inuse_samples;
        self.alloc_bytes += other.alloc_bytes;
        self.alloc_samples += other.alloc_samples;
    }

    /// The part of `whole` that this is: of what is in use, or if it has no part in that, of what was allocated. `None`
    /// if it is nothing.
    pub(super) fn share_of(self, whole: Extent) -> Option<Share> {
        let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 1.0 };
        if self.inuse_bytes > 0.0 {
            let (ratio, samples) = (share(self.inuse_bytes, whole.inuse_bytes), self.inuse_samples);
            Some(Share { ratio, samples, is_inuse: true })
        } else if self.alloc_bytes > 0.0 {
            let (ratio, samples) = (share(self.alloc_bytes, whole.alloc_bytes), self.alloc_samples);
            Some(Share { ratio, samples, is_inuse: false })
        } else {
            None
        }
    }
}

/// A part of a profile, as people read it: `12.5 % of what is in use (40 samples)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    /// From 0 to 1.
    pub(super) ratio: f64,
    samples: i64,
    is_inuse: bool,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_inuse { "what is in use" } else { "what was allocated" };
        let samples = self.samples;
        let plural = if samples == 1 { "" } else { "s" };
        write!(f, "{:.1} % of {what} ({samples} sample{plural})", 100.0 * self.ratio)
    }
}

/// What a snapshot and its names show to be missing.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// All that there is.
    pub(super) whole: Extent,
    /// Stacks of which nothing is known.
    pub(super) unknown_stacks: Extent,
    /// Stacks whose outermost frames are missing.
    pub(super) truncated: Extent,
    /// Stacks with a function of the program's that has no name, or no line.
    pub(super) program: Extent,
    /// Stacks with an address in a library without names.
    pub(super) unnamed: Extent,
    /// Stacks whose first row is in a library without lines.
    pub(super) without_lines: Extent,
    /// Stacks with an address in a library that could not be told apart.
    pub(super) unknown_libraries: Extent,
    /// Stacks with an address in no file.
    pub(super) nowhere: Extent,
    /// Stacks with an address that there was no time to look up.
    pub(super) out_of_time: Extent,
    /// What lacks of each mapping's names or lines, in bytes.
    by_mapping: HashMap<(Lack, usize), f64>,
}

impl Evidence {
    /// With `names`, of names too.
    pub(super) fn of(snapshot: &Snapshot, names: Option<&Names>) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.whole.add(Extent::of(&snapshot.overflow));
        let named = names.and_then(|names| Some((names, names.gaps()?)));
        for (index, StackTotals { trace, by_size, .. }) in snapshot.stacks.iter().enumerate() {
            let extent = Extent::of(by_size);
            evidence.whole.add(extent);
            if trace.frames.is_empty() {
                evidence.unknown_stacks.add(extent);
            }
            if trace.is_truncated {
                evidence.truncated.add(extent);
            }
            if let Some((names, gaps)) = named {
                evidence.stack(index, names, gaps, extent);
            }
        }
        evidence
    }

    fn stack(&mut self, index: usize, names: &Names, gaps: &Gaps, extent: Extent) {
        let mut found = Found::default();
        for gap in names.places(index).iter().filter_map(|&place| gaps.at(place)) {
            match (gap.lack, gap.home) {
                (Lack::Nothing, _) => {}
                (Lack::Time, _) => found.out_of_time = true,
                (_, Home::Program) => found.program = true,
                (_, Home::UnknownLibrary) => found.unknown_library = true,
                (_, Home::Nowhere) => found.nowhere = true,
                // mutant: D6 names that are missing are not told
                (Lack::Name, Home::Library) => found.unnamed = Some(gap),
                (Lack::Line, Home::Library) | (_, Home::System) => found.may_be_first = true,
            }
        }
        // Between other functions, nobody misses a line of a library's; and what has no name in the C library begins
        // every thread.
        if found.may_be_first
            && let Some(first) = names.stack(index, Frames::UserFirst).locations().next()
            && let Some(gap) = gaps.at(first.place)
            && matches!(gap.home, Home::Library | Home::System)
        {
            match gap.lack {
                Lack::Nothing | Lack::Time => {}
                Lack::Line => found.without_lines = Some(gap),
                Lack::Name => found.unnamed = Some(gap),
            }
        }
        self.add(&found, extent);
    }

    fn add(&mut self, found: &Found, extent: Extent) {
        let yes_or_no = [
            (found.program, &mut self.program),
            (found.unnamed.is_some(), &mut self.unnamed),
            (found.without_lines.is_some(), &mut self.without_lines),
            (found.unknown_library, &mut self.unknown_libraries),
            (found.nowhere, &mut self.nowhere),
            (found.out_of_time, &mut self.out_of_time),
        ];
        for (_, sum) in yes_or_no.into_iter().filter(|(is_so, _)| *is_so) {
            sum.add(extent);
        }
        for gap in [found.unnamed, found.without_lines].into_iter().flatten() {
            if let Some(mapping) = gap.mapping {
                let bytes = if extent.inuse_bytes > 0.0 { extent.inuse_bytes } else { extent.alloc_bytes };
                *self.by_mapping.entry((gap.lack, mapping)).or_default() += bytes;
            }
        }
    }

    /// The mapping that most of a lack is in.
    pub(super) fn worst(&self, lack: Lack) -> Option<usize> {
        let of_lack = self.by_mapping.iter().filter(|((of, _), _)| *of == lack);
        let most =
            of_lack.max_by(|((_, a), a_bytes), ((_, b), b_bytes)| a_bytes.total_cmp(b_bytes).then(b.cmp(a)));
        most.map(|(&(_, mapping), _)| mapping)
    }
}

/// What one stack lacks.
#[derive(Default)]
struct Found {
    program: bool,
    unknown_library: bool,
    nowhere: bool,
    out_of_time: bool,
    unnamed: Option<Gap>,
    without_lines: Option<Gap>,
    /// Only if it is the first row.
    may_be_first: bool,
}
