//! This finds in one pass over the stacks how much of a profile each loss concerns.
//!
//! Path: *read path*. Cost: some 2 ns for each address on each stack.

use crate::profile::{Frames, Gaps, Place, Signs, Stacks};
use crate::symbols::{OfFrames, Verdict};
use alloc_profiler::StackTrace;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How much something concerns, by each weight of the profile: the more telling one first. Values of a difference count
/// without their signs, so that growth does not cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extent([Weight; 2]);

/// This is a sum of one weight, with the number of samples behind it.
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
    /// It is from 0 to 1.
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
    /// Stacks with a function that has no name, in a library that has names for others; or whose first row has none.
    pub(crate) unnamed: Extent,
    /// Stacks with an address in a library that lacks names or lines as a whole.
    pub(crate) in_lacking: Extent,
    /// Lists each such library, and the stacks with an address in it.
    lacking: Vec<Lacking>,
    /// Stacks with an address in a library that could not be told apart.
    pub(crate) unknown_libraries: Extent,
    /// How many stacks have an address that is in no file.
    pub(crate) nowhere: Extent,
    /// Stacks with an address that there was no time to look up.
    pub(crate) out_of_time: Extent,
    /// How much lacks names because of each mapping.
    by_mapping: HashMap<usize, f64>,
}

/// A library that lacks names or lines as a whole.
#[derive(Debug)]
pub(crate) struct Lacking {
    pub(crate) verdict: Arc<Verdict>,
    /// Tells how much the stacks with an address in it hold.
    pub(crate) extent: Extent,
    /// The last stack that was counted.
    stack: usize,
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

    /// Adds the libraries that the stack at `index`, whose addresses are not named, goes through.
    pub(crate) fn add_libraries(
        &mut self,
        index: usize,
        trace: &StackTrace,
        extent: Extent,
        of_frames: &mut OfFrames,
    ) {
        let mut is_lacking = false;
        for &frame in &trace.frames {
            if let Some(verdict) = of_frames.get(frame).filter(|verdict| verdict.lacks().is_some()) {
                self.add_lacking(index, &verdict, extent);
                is_lacking = true;
            }
        }
        if is_lacking {
            self.in_lacking.add(extent);
        }
    }

    fn add_lacking(&mut self, stack: usize, verdict: &Arc<Verdict>, extent: Extent) {
        match self.lacking.iter_mut().find(|known| Arc::ptr_eq(&known.verdict, verdict)) {
            // A stack may go through a library more than once.
            Some(known) if known.stack == stack => {}
            Some(known) => {
                known.extent.add(extent);
                known.stack = stack;
            }
            None => self.lacking.push(Lacking { verdict: verdict.clone(), extent, stack }),
        }
    }

    fn add_names(&mut self, index: usize, stacks: &Stacks, gaps: &Gaps, extent: Extent) {
        let places = stacks.places(index);
        let signs = places.iter().fold(Signs::default(), |all, &place| all | gaps.signs(place));
        for (sign, sum) in [
            (Signs::PROGRAM, &mut self.program),
            (Signs::LACKING, &mut self.in_lacking),
            (Signs::UNKNOWN_LIBRARY, &mut self.unknown_libraries),
            (Signs::NOWHERE, &mut self.nowhere),
            (Signs::OUT_OF_TIME, &mut self.out_of_time),
        ] {
            if signs.has(sign) {
                sum.add(extent);
            }
        }
        if signs.has(Signs::LACKING) {
            let lacking = places.iter().filter_map(|&place| gaps.lacking(place));
            lacking.for_each(|verdict| self.add_lacking(index, verdict, extent));
        }
        if let Some(place) = unnamed_place(index, stacks, gaps, signs) {
            self.unnamed.add(extent);
            if let Some(mapping) = gaps.mapping(place) {
                *self.by_mapping.entry(mapping).or_default() += extent.value();
            }
        }
    }

    /// The mapping that most of what has no name is in.
    pub(crate) fn worst(&self) -> Option<usize> {
        let by_mapping = self.by_mapping.iter();
        let most = by_mapping.max_by(|(a, a_bytes), (b, b_bytes)| a_bytes.total_cmp(b_bytes).then(b.cmp(a)));
        most.map(|(&mapping, _)| mapping)
    }

    /// The libraries that lack names or lines as a whole, those first that most stacks by weight go through.
    pub(crate) fn lacking(&self) -> Vec<&Lacking> {
        let mut lacking: Vec<&Lacking> = self.lacking.iter().collect();
        lacking.sort_by(|a, b| {
            b.extent.value().total_cmp(&a.extent.value()).then_with(|| a.verdict.file.cmp(&b.verdict.file))
        });
        lacking
    }
}

/// Returns the place on the stack at `index` for whose missing name its file is to blame. `signs` are those of the stack.
fn unnamed_place(index: usize, stacks: &Stacks, gaps: &Gaps, signs: Signs) -> Option<Place> {
    let mut places = stacks.places(index).iter().copied();
    // What has no name in the C library begins every thread, so it counts in the first row only. That row is never further
    // out than a function that somebody wrote, so the search for it, which costs more, is for few stacks.
    let may_be_first = Signs::USER | Signs::UNNAMED_OF_SYSTEM;
    if signs.has(Signs::UNNAMED_OF_SYSTEM)
        && let Some(inner) = places.clone().find(|&place| gaps.signs(place).has(may_be_first))
        && gaps.signs(inner).has(Signs::UNNAMED_OF_SYSTEM)
        && let Some(first) = stacks.shown(index, Frames::UserFirst).locations().next()
        && gaps.signs(first.place).has(Signs::UNNAMED_OF_SYSTEM)
    {
        return Some(first.place);
    }
    if !signs.has(Signs::UNNAMED) {
        return None;
    }
    places.rfind(|&place| gaps.signs(place).has(Signs::UNNAMED))
}
