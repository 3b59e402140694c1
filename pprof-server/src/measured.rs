//! Measurements get names here, so that tests can assert and show which lines allocated how much.
//!
//! `alloc-profiler` measures, and knows addresses alone. Names are looked up when they are asked for, which is when an assertion
//! has failed.
//!
//! Path: *called by the program*.

use crate::mappings::Mappings;
use crate::profile::{DistinctLines, Frame, Frames, Stacks, Symbolize};
use alloc_profiler::{CannotMeasure, unsampled};
use std::collections::HashMap;
use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};

/// How many lines the text of a measurement shows.
const SHOWN_LINES: usize = 10;

/// Runs `work` and tells exactly what the calling thread allocates meanwhile, and on which lines.
///
/// It is [`alloc_profiler::measure`] with names: see there for what counts. A test asserts bounds, and if one does not hold, the
/// message shows the lines:
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: pprof_server::alloc_profiler::SamplingAllocator =
/// #     pprof_server::alloc_profiler::SamplingAllocator::new();
/// let (sum, measured) = pprof_server::measure(|| (0..100_u64).map(|n| n * n).sum::<u64>())?;
/// measured.assert_alloc_objects(0);
///
/// let (_text, measured) = pprof_server::measure(|| "a".repeat(100))?;
/// measured.assert_alloc_objects(..=1);
/// measured.assert_peak_bytes(100);
/// assert!(measured.to_string().contains("1 allocation of 100 B"));
/// # assert_eq!(sum, 328_350);
/// # Ok::<(), pprof_server::alloc_profiler::CannotMeasure>(())
/// ```
///
/// # Errors
///
/// It fails where [`alloc_profiler::measure`] does; the most likely one is that the program has no
/// [`SamplingAllocator`](alloc_profiler::SamplingAllocator).
///
/// # Cost
///
/// It costs what [`alloc_profiler::measure`] costs. Names cost nothing unless they are asked for.
pub fn measure<R>(work: impl FnOnce() -> R) -> Result<(R, Measured), CannotMeasure> {
    let (result, figures) = alloc_profiler::measure(work)?;
    Ok((result, Measured { figures }))
}

/// Runs `work` and tells what all threads allocate meanwhile, and on which lines: [`alloc_profiler::measure_process`] with names.
///
/// # Errors
///
/// It fails where [`alloc_profiler::measure_process`] does.
pub fn measure_process<R>(work: impl FnOnce() -> R) -> Result<(R, Measured), CannotMeasure> {
    let (result, figures) = alloc_profiler::measure_process(work)?;
    Ok((result, Measured { figures }))
}

/// What was allocated while it was measured: the fields of [`alloc_profiler::Measured`], and the lines. Its text, as
/// `{measured}` writes it, has both.
///
/// ```
/// # fn check(measurement: pprof_server::alloc_profiler::Measurement) {
/// let measured = pprof_server::Measured::from(measurement.end().unwrap());
/// assert!(measured.alloc_bytes < 4096, "{measured}");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Measured {
    figures: alloc_profiler::Measured,
}

/// What was allocated on one line, as called from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeasuredLine {
    /// The functions and lines of the stack, of which the first is the one that allocated. The allocator and the part of the standard
    /// library at the leaf are left out. It is `[unknown stack]` alone where no stack could be taken.
    pub frames: Vec<Frame>,
    /// How many blocks were allocated.
    pub alloc_objects: u64,
    /// How many bytes these blocks have.
    pub alloc_bytes: u64,
    /// How many of them had not been freed at the end.
    pub inuse_objects: u64,
    /// How many bytes those have.
    pub inuse_bytes: u64,
}

impl From<alloc_profiler::Measured> for Measured {
    fn from(figures: alloc_profiler::Measured) -> Measured {
        Measured { figures }
    }
}

impl Deref for Measured {
    type Target = alloc_profiler::Measured;

    fn deref(&self) -> &alloc_profiler::Measured {
        &self.figures
    }
}

impl Measured {
    /// Returns the lines that allocated, of which the one with the most bytes comes first. Stacks with the same lines are one.
    ///
    /// # Cost
    ///
    /// It looks up names as a profile does, which opens the program's file.
    #[must_use]
    pub fn lines(&self) -> Vec<MeasuredLine> {
        unsampled(|| {
            let traces = self.figures.stacks.iter().map(|stack| &stack.trace);
            let stacks = Stacks::of(traces, &[], Mappings::of_process(), Symbolize::Full);
            let mut names = DistinctLines::new(&stacks);
            let mut by_lines: HashMap<Vec<u32>, usize> = HashMap::new();
            let mut lines: Vec<MeasuredLine> = Vec::new();
            for (index, stack) in self.figures.stacks.iter().enumerate() {
                let ids = names.of_stack(stacks.shown(index, Frames::UserFirst));
                let at = *by_lines.entry(ids).or_insert_with_key(|ids| {
                    let frames =
                        names.frames(ids).filter(|frame| !is_of_measurement(frame)).cloned().collect();
                    lines.push(MeasuredLine::nothing(frames));
                    lines.len() - 1
                });
                lines[at].alloc_objects += stack.alloc_objects;
                lines[at].alloc_bytes += stack.alloc_bytes;
                lines[at].inuse_objects += stack.inuse_objects;
                lines[at].inuse_bytes += stack.inuse_bytes;
            }
            let rank = |line: &MeasuredLine| (line.alloc_bytes, line.alloc_objects);
            lines.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.frames.cmp(&b.frames)));
            lines
        })
    }

    /// Asserts how many blocks were allocated: a number or a range, such as `..=3`.
    ///
    /// # Panics
    ///
    /// It panics if there were others, or if the figures are not exact, and shows the lines that allocated.
    #[track_caller]
    pub fn assert_alloc_objects(&self, expected: impl Expected) {
        self.assert("alloc_objects", self.alloc_objects, &expected);
    }

    /// Asserts how many bytes were allocated: a number or a range, such as `..4096`.
    ///
    /// # Panics
    ///
    /// It panics where [`assert_alloc_objects`](Measured::assert_alloc_objects) would.
    #[track_caller]
    pub fn assert_alloc_bytes(&self, expected: impl Expected) {
        self.assert("alloc_bytes", self.alloc_bytes, &expected);
    }

    /// Asserts how many bytes were in use at most at one moment: a number or a range.
    ///
    /// # Panics
    ///
    /// It panics where [`assert_alloc_objects`](Measured::assert_alloc_objects) would.
    #[track_caller]
    pub fn assert_peak_bytes(&self, expected: impl Expected) {
        self.assert("peak_bytes", self.peak_bytes, &expected);
    }

    /// Asserts how many bytes were still in use at the end: a number, such as 0, or a range.
    ///
    /// # Panics
    ///
    /// It panics where [`assert_alloc_objects`](Measured::assert_alloc_objects) would.
    #[track_caller]
    pub fn assert_inuse_bytes(&self, expected: impl Expected) {
        self.assert("inuse_bytes", self.inuse_bytes(), &expected);
    }

    #[track_caller]
    fn assert(&self, name: &str, value: u64, expected: &impl Expected) {
        assert!(expected.holds(value), "{name} is {value}, and was to be {}\n{self}", expected.text());
        assert!(self.is_exact(), "{name} is {value}, but the figures are not exact\n{self}");
    }
}

/// What a figure may be: a number, or a range of numbers.
pub trait Expected: sealed::Expected {}

impl<T: sealed::Expected> Expected for T {}

mod sealed {
    use super::{Bound, RangeBounds};

    pub trait Expected {
        fn holds(&self, value: u64) -> bool;
        fn text(&self) -> String;
    }

    impl Expected for u64 {
        fn holds(&self, value: u64) -> bool {
            value == *self
        }

        fn text(&self) -> String {
            self.to_string()
        }
    }

    macro_rules! range {
        ($($range:ty),*) => {$(
            impl Expected for $range {
                fn holds(&self, value: u64) -> bool {
                    self.contains(&value)
                }

                fn text(&self) -> String {
                    range_text(self)
                }
            }
        )*};
    }

    range!(
        std::ops::Range<u64>,
        std::ops::RangeInclusive<u64>,
        std::ops::RangeTo<u64>,
        std::ops::RangeToInclusive<u64>,
        std::ops::RangeFrom<u64>
    );

    fn range_text(range: &impl RangeBounds<u64>) -> String {
        let from = match range.start_bound() {
            Bound::Included(from) | Bound::Excluded(from) => format!("at least {from}"),
            Bound::Unbounded => String::new(),
        };
        let to = match range.end_bound() {
            Bound::Included(to) => format!("at most {to}"),
            Bound::Excluded(to) => format!("less than {to}"),
            Bound::Unbounded => String::new(),
        };
        let and = if from.is_empty() || to.is_empty() { "" } else { " and " };
        format!("{from}{and}{to}")
    }
}

/// Whether it is one of the functions that call what is measured, of which nobody wants to know.
fn is_of_measurement(frame: &Frame) -> bool {
    ["pprof_server::measured::", "alloc_profiler::measure::"]
        .iter()
        .any(|path| frame.function.starts_with(path))
}

impl MeasuredLine {
    fn nothing(frames: Vec<Frame>) -> MeasuredLine {
        MeasuredLine { frames, alloc_objects: 0, alloc_bytes: 0, inuse_objects: 0, inuse_bytes: 0 }
    }
}

/// This tells a number of allocations in words.
struct Allocations(u64, u64);

impl fmt::Display for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Allocations(objects, bytes) = self;
        let plural = if objects == 1 { "" } else { "s" };
        write!(f, "{objects} allocation{plural} of {bytes} B")
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_use = Allocations(self.inuse_objects(), self.inuse_bytes());
        let all = Allocations(self.alloc_objects, self.alloc_bytes);
        writeln!(f, "{all}. In use: {} B at most, and {in_use} at the end.", self.peak_bytes)?;
        for doubt in self.doubts() {
            writeln!(f, "{doubt}")?;
        }
        let lines = self.lines();
        for line in lines.iter().take(SHOWN_LINES) {
            write!(f, "\n  {}", Allocations(line.alloc_objects, line.alloc_bytes))?;
            match line.inuse_bytes {
                0 => writeln!(f)?,
                bytes => writeln!(f, ", of which {bytes} B are in use")?,
            }
            Frame::write_stack(&line.frames, 4, f)?;
        }
        match lines.len().saturating_sub(SHOWN_LINES) {
            0 => Ok(()),
            more => writeln!(f, "\n  and {more} more"),
        }
    }
}
