//! A heap profile has four quantities, with their names, their units, and places where their values stand.
//!
//! Path: *read path*.

use alloc_profiler::Totals;

/// One of the four values that a profile has for each stack. Names and order are Go's; readers know them by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleType {
    /// `alloc_objects`, a count, is the number of objects ever allocated.
    AllocObjects,
    /// `alloc_space`, in bytes, is how many bytes were ever allocated.
    AllocSpace,
    /// `inuse_objects`, a count, is the number of objects that were allocated and not freed.
    InuseObjects,
    /// `inuse_space`, in bytes, is how many bytes were allocated and not freed.
    InuseSpace,
}

impl SampleType {
    /// All four, in Go's order. Some readers accept no fifth.
    pub const ALL: [SampleType; 4] =
        [SampleType::AllocObjects, SampleType::AllocSpace, SampleType::InuseObjects, SampleType::InuseSpace];

    /// Returns the name that readers know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SampleType::AllocObjects => "alloc_objects",
            SampleType::AllocSpace => "alloc_space",
            SampleType::InuseObjects => "inuse_objects",
            SampleType::InuseSpace => "inuse_space",
        }
    }

    /// Returns its unit, `count` or `bytes`.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        if self.is_space() { "bytes" } else { "count" }
    }

    /// Returns its value among `totals`, which is an estimate and not rounded.
    #[must_use]
    pub const fn of(self, totals: &Totals) -> f64 {
        match self {
            SampleType::AllocObjects => totals.alloc_objects,
            SampleType::AllocSpace => totals.alloc_bytes,
            SampleType::InuseObjects => totals.inuse_objects,
            SampleType::InuseSpace => totals.inuse_bytes,
        }
    }

    /// Returns one standard error of it, or `None` where no sample says anything of it.
    #[must_use]
    pub fn error_of(self, totals: &Totals) -> Option<f64> {
        match self {
            SampleType::AllocObjects => totals.alloc_objects_standard_error(),
            SampleType::AllocSpace => totals.alloc_bytes_standard_error(),
            SampleType::InuseObjects => totals.inuse_objects_standard_error(),
            SampleType::InuseSpace => totals.inuse_bytes_standard_error(),
        }
    }

    /// Returns its index among the values of a row.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn is_space(self) -> bool {
        matches!(self, SampleType::AllocSpace | SampleType::InuseSpace)
    }

    pub(crate) const fn is_inuse(self) -> bool {
        matches!(self, SampleType::InuseObjects | SampleType::InuseSpace)
    }
}
