//! This decides how large a profile may become, and which samples stay when it would be larger.
//!
//! Readers have limits: Pyroscope refuses a profile of more than 16 000 samples or 4 MiB. What does not fit is merged
//! into one sample at `[other]`, so that no total changes.
//!
//! Path: *read path*.

use super::value::{ValueType, weights};

/// The size that a profile may have. What is beyond it is merged into one sample at `[other]`, and a comment says how
/// many samples that are; totals stay exact. Begin with [`SizeLimit::SCRAPERS`] or [`SizeLimit::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeLimit {
    /// The most samples, `[other]` included. 0 counts as 1.
    pub samples: usize,
    /// The most bytes of the profile before it is gzipped. Mappings, header and `[other]` itself, which take some
    /// kilobytes, are never left out.
    pub message_bytes: usize,
}

impl SizeLimit {
    /// 16 000 samples and 4 MiB, which Pyroscope accepts unless it is configured otherwise.
    pub const SCRAPERS: SizeLimit = SizeLimit { samples: 16_000, message_bytes: 4 << 20 };
    /// There is no limit but the profiler's own limit on stacks: see `alloc_profiler::Limits`.
    pub const NONE: SizeLimit = SizeLimit { samples: usize::MAX, message_bytes: usize::MAX };

    /// Returns the same limit with another number of [`SizeLimit::samples`].
    #[must_use]
    pub const fn with_samples(self, samples: usize) -> SizeLimit {
        SizeLimit { samples, ..self }
    }

    /// Returns the same limit with another number of [`SizeLimit::message_bytes`].
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

/// How much a row matters: the largest of its shares of the weights. So a leak that hides behind busy code is not lost,
/// and neither is busy code that leaks nothing.
pub(crate) struct Importance {
    /// Holds for each weight its index among the value types, and the sum of its values without their signs.
    gross: Vec<(usize, f64)>,
}

impl Importance {
    /// Weighs rows among those with these values, one for each of `types`. In a difference values may be negative:
    /// shrinking matters as growing does.
    pub(crate) fn among<'a>(
        types: &[ValueType],
        rows: impl Iterator<Item = &'a [f64]> + Clone,
    ) -> Importance {
        let gross = |index: usize| (index, rows.clone().map(|values| values[index].abs()).sum());
        Importance { gross: weights(types).map(gross).collect() }
    }

    /// Returns how much a row with these values matters, from 0 to 1.
    pub(crate) fn of(&self, values: &[f64]) -> f64 {
        let share =
            |&(index, whole): &(usize, f64)| if whole > 0.0 { values[index].abs() / whole } else { 0.0 };
        self.gross.iter().map(share).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Family, Unit};

    const FAMILY: Family = Family {
        total: "",
        change: "",
        whole: "",
        state: "",
        no_change: "",
        events: "",
        samples: "",
        comes_and_goes: false,
    };
    const fn of(name: &'static str, unit: Unit) -> ValueType {
        ValueType { name, unit, family: &FAMILY }
    }

    #[test]
    fn a_small_leak_behind_busy_code_matters() {
        let types = [of("allocated", Unit::Bytes), of("count", Unit::Count), of("in use", Unit::Bytes)];
        let [busy, leak, shrunk, little] =
            [[9e9, 0.0, 0.0], [300.0, 0.0, 300.0], [0.0, 0.0, -500.0], [1.0, 1e9, 1.0]];
        let all = [busy, leak, shrunk, little];
        let importance = Importance::among(&types, all.iter().map(|values| &values[..]));
        let mut by_importance = all;
        by_importance.sort_by(|a, b| importance.of(b).total_cmp(&importance.of(a)));
        assert_eq!(by_importance, [busy, shrunk, leak, little]);
        assert_eq!(Importance::among(&types, [].into_iter()).of(&leak), 0.0);
    }

    #[test]
    fn where_all_is_counted_the_count_is_the_weight() {
        let types = [of("contentions", Unit::Count), of("goroutines", Unit::Count)];
        assert_eq!(weights(&types).collect::<Vec<_>>(), [1]);
        assert_eq!(
            weights(&[of("samples", Unit::Count), of("cpu", Unit::Nanoseconds)]).collect::<Vec<_>>(),
            [1]
        );
        assert_eq!(weights(&[]).count(), 0);
    }
}
