//! How large a profile may become, and which samples stay when it would be larger.
//!
//! Readers have limits: Pyroscope refuses a profile of more than 16 000 samples or 4 MiB. What does not fit is merged
//! into one sample at `[other]`, so that no total changes. Used by `builder` and `folded`.
//!
//! Path: *read path*.

use crate::sources::heap::SampleType;
use alloc_profiler::Totals;

/// The size that a profile may have. What is beyond it is merged into one sample at `[other]`, and a comment says how
/// many samples that are; totals stay exact. Begin with [`SizeLimit::SCRAPERS`] or [`SizeLimit::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeLimit {
    /// Samples, `[other]` included. 0 is as 1.
    pub samples: usize,
    /// Bytes of the profile before it is gzipped. Mappings, header and `[other]` itself are never left out: some
    /// kilobytes.
    pub message_bytes: usize,
}

impl SizeLimit {
    /// 16 000 samples and 4 MiB: what Pyroscope accepts unless configured otherwise.
    pub const SCRAPERS: SizeLimit = SizeLimit { samples: 16_000, message_bytes: 4 << 20 };
    /// No limit but the profiler's own, on stacks: see `alloc_profiler::Limits`.
    pub const NONE: SizeLimit = SizeLimit { samples: usize::MAX, message_bytes: usize::MAX };

    /// The same with another number of [`SizeLimit::samples`].
    #[must_use]
    pub const fn with_samples(self, samples: usize) -> SizeLimit {
        SizeLimit { samples, ..self }
    }

    /// The same with another number of [`SizeLimit::message_bytes`].
    #[must_use]
    pub const fn with_message_bytes(self, message_bytes: usize) -> SizeLimit {
        SizeLimit { message_bytes, ..self }
    }
}

impl Default for SizeLimit {
    fn default() -> Self {
        SizeLimit::SCRAPERS
    }
}

/// How much a sample matters: its share of what is in use or its share of what was allocated, whichever is larger. So
/// neither a leak that hides behind busy code is lost, nor busy code that leaks nothing.
pub(crate) struct Importance {
    gross_inuse_bytes: f64,
    gross_alloc_bytes: f64,
}

impl Importance {
    /// Among samples with these totals. In a difference they may be negative: shrinking matters as growing does.
    pub(crate) fn among<'a>(samples: impl Iterator<Item = &'a Totals> + Clone) -> Importance {
        let gross = |of: SampleType| samples.clone().map(|totals| of.of(totals).abs()).sum();
        Importance {
            gross_inuse_bytes: gross(SampleType::InuseSpace),
            gross_alloc_bytes: gross(SampleType::AllocSpace),
        }
    }

    /// Of one sample: 0 to 1.
    pub(crate) fn of(&self, totals: &Totals) -> f64 {
        let share = |part: f64, whole: f64| if whole > 0.0 { part.abs() / whole } else { 0.0 };
        share(totals.inuse_bytes, self.gross_inuse_bytes)
            .max(share(totals.alloc_bytes, self.gross_alloc_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_leak_behind_busy_code_matters() {
        let totals = |alloc_bytes, inuse_bytes| Totals { alloc_bytes, inuse_bytes, ..Totals::default() };
        let [busy, leak, shrunk, little] =
            [totals(9e9, 0.0), totals(300.0, 300.0), totals(0.0, -500.0), totals(1.0, 1.0)];
        let all = [busy, leak, shrunk, little];
        let importance = Importance::among(all.iter());
        let mut by_importance = all;
        by_importance.sort_by(|a, b| importance.of(b).total_cmp(&importance.of(a)));
        assert_eq!(by_importance, [busy, shrunk, leak, little]);
        assert_eq!(Importance::among([].iter()).of(&leak), 0.0);
    }
}
