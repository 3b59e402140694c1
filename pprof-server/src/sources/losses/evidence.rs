//! How much of a profile each loss concerns: found in one pass over its stacks.
//!
//! Path: *read path*. Cost: some 2 ns for each address on each stack.

use crate::profile::{Frames, Gap, Gaps, Home, Lack, Stacks};
use alloc_profiler::StackTrace;
use std::collections::HashMap;
use std::fmt;

/// How much something concerns, by each weight of the profile: the more telling one first. Values of a difference count
/// without their signs, so that growth does not cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extent([Weight; 2]);

/// A sum of one weight, and the number of samples behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weight {
    pub(crate) value: f64,
    pub(crate) samples: i64,
}

impl Extent {
    /// Adds one row's weights.
    pub(crate) fn add_row(&mut self, weights: [Weight; 2]) {
        let unsigned = |of: Weight| Weight { value: of.value.abs(), samples: of.samples.abs() };
        self.add(Extent(weights.map(unsigned)));
    }

    pub(crate) fn add(&mut self, other: Extent) {
        for (sum, of) in self.0.iter_mut().zip(other.0) {
            sum.value += of.value;
            sum.samples += of.samples;
        }
    }

    /// The part of `whole` that this is: by the first weight that it has any of. `None` if it has none. `words` say what
    /// each weight is a share of.
    pub(crate) fn share_of(self, whole: Extent, words: [&'static str; 2]) -> Option<Share> {
        let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 1.0 };
        let index = self.0.iter().position(|of| of.value > 0.0)?;
        let Weight { value, samples } = self.0[index];
        Some(Share { ratio: share(value, whole.0[index].value), samples, whole: words[index] })
    }

    /// The first weight that it has any of.
    fn value(self) -> f64 {
        self.0.iter().map(|of| of.value).find(|&value| value > 0.0).unwrap_or(0.0)
    }
}

/// A part of a profile, as people read it: `12.5 % of what is in use (40 samples)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// From 0 to 1.
    pub(crate) ratio: f64,
    samples: i64,
    whole: &'static str,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { samples, whole, .. } = self;
        let plural = if *samples == 1 { "" } else { "s" };
        write!(f, "{:.1} % of {whole} ({samples} sample{plural})", 100.0 * self.ratio)
    }
}

/// What the stacks of a profile and their names show to be missing.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// All that there is.
    pub(crate) whole: Extent,
    /// Stacks of which nothing is known.
    pub(crate) unknown_stacks: Extent,
    /// Stacks whose outermost frames are missing.
    pub(crate) truncated: Extent,
    /// Stacks with a function of the program's that has no name, or no line.
    pub(crate) program: Extent,
    /// Stacks with an address in a library without names.
    pub(crate) unnamed: Extent,
    /// Stacks whose first row is in a library without lines.
    pub(crate) without_lines: Extent,
    /// Stacks with an address in a library that could not be told apart.
    pub(crate) unknown_libraries: Extent,
    /// Stacks with an address in no file.
    pub(crate) nowhere: Extent,
    /// Stacks with an address that there was no time to look up.
    pub(crate) out_of_time: Extent,
    /// How much lacks names or lines because of each mapping.
    by_mapping: HashMap<(Lack, usize), f64>,
}

impl Evidence {
    /// Adds what belongs to no stack.
    pub(crate) fn add_stackless(&mut self, extent: Extent) {
        self.whole.add(extent);
    }

    /// Adds the stack at `index`. With names, it adds what they lack too.
    pub(crate) fn add_stack(
        &mut self,
        index: usize,
        trace: &StackTrace,
        extent: Extent,
        named: Option<(&Stacks, &Gaps)>,
    ) {
        self.whole.add(extent);
        if trace.frames.is_empty() {
            self.unknown_stacks.add(extent);
        }
        if trace.is_truncated {
            self.truncated.add(extent);
        }
        if let Some((stacks, gaps)) = named {
            self.add_names(index, stacks, gaps, extent);
        }
    }

    fn add_names(&mut self, index: usize, stacks: &Stacks, gaps: &Gaps, extent: Extent) {
        let mut found = Found::default();
        for gap in stacks.places(index).iter().filter_map(|&place| gaps.at(place)) {
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
            && let Some(first) = stacks.shown(index, Frames::UserFirst).locations().next()
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
                *self.by_mapping.entry((gap.lack, mapping)).or_default() += extent.value();
            }
        }
    }

    /// The mapping that most of a lack is in.
    pub(crate) fn worst(&self, lack: Lack) -> Option<usize> {
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
