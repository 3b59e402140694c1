//! This writes pprof profiles, which `go tool pprof` and scrapers read.
//!
//! Rows that readers would show as the same stack with the same labels become one *sample*. The same profile yields the same
//! bytes whatever the order of its stacks: samples are sorted by the last value type, largest first, and everything else is
//! numbered in the order in which they mention it. Estimates are summed as they are and rounded once, at the end. If there
//! is more than a reader takes, samples are sorted by importance instead, and those that do not fit become one.
//!
//! Path: *read path*.

mod builder;
mod gzip;
#[doc(hidden)]
pub mod proto;
mod samples;

use crate::profile::{AddressMap, Importance, LabelsId, Profile, ShownStack, SizeLimit};
use builder::Builder;
#[cfg(feature = "http")]
pub(crate) use gzip::compressed;
pub(crate) use gzip::gzip;
use std::cmp::{Ordering, Reverse};

/// Returns the bytes of a `proto::Profile`, within `limit`.
///
/// Cost: some 10 ns for each place on each stack, or twice that if the profile is too large for the limit.
pub(crate) fn message(profile: &Profile, limit: SizeLimit) -> Vec<u8> {
    let samples = Samples::of(profile);
    if samples.len() <= limit.samples {
        let mut builder = Builder::new(profile);
        let is_whole = samples.iter().all(|sample| {
            builder.sample(sample.stack, sample.labels, sample.rounded());
            builder.message_bytes() <= limit.message_bytes
        });
        if is_whole && builder.message_bytes() <= limit.message_bytes {
            return builder.message();
        }
    }
    message_within(profile, &samples, limit)
}

/// Does what [`message`] does, with the least important samples merged under `[other]`.
fn message_within(profile: &Profile, samples: &Samples<'_>, limit: SizeLimit) -> Vec<u8> {
    let importance = Importance::among(profile.types, samples.iter().map(|sample| sample.values));
    let mut by_importance: Vec<Sample<'_>> = samples.iter().collect();
    // No importance is negative, so the bits of one are ordered as it is.
    by_importance.sort_by_cached_key(|sample| Reverse(importance.of(sample.values).to_bits()));
    let mut builder = Builder::new(profile);
    let kept = builder.samples_within(&by_importance, limit);
    let others = &by_importance[kept..];
    // Sums are taken of what would have been written, so that totals are those of the whole profile to the last digit.
    let mut sums = vec![0_i64; profile.types.len()];
    for other in others {
        sums.iter_mut().zip(other.rounded()).for_each(|(sum, value)| *sum = sum.saturating_add(value));
    }
    builder.sample(ShownStack::other(), LabelsId::default(), sums.into_iter());
    let last = |samples: &[Sample<'_>]| samples.iter().map(|sample| sample.last().abs()).sum();
    let (merged, all): (f64, f64) = (last(others), last(&by_importance));
    let share = if all > 0.0 { merged / all } else { 0.0 };
    let note = merged_under_other(profile, others.len(), kept, share);
    builder.comment(&note);
    builder.message()
}

/// Says that the limit was reached. `share` is what `[other]` has of the last value type, from 0 to 1.
fn merged_under_other(profile: &Profile, merged: usize, kept: usize, share: f64) -> String {
    let whole = profile.types.last().map_or("it", |of| of.family.whole);
    format!(
        "profile: samples merged under [other] for want of room: {merged}, the {kept} most important kept \
         ({:.1} % of {whole} is merged; limit=none keeps all)",
        100.0 * share
    )
}

/// All rows of one shown stack that have the same labels.
#[derive(Clone, Copy)]
struct Sample<'a> {
    stack: ShownStack<'a>,
    labels: LabelsId,
    /// Sums up their values, with one sum for each value type.
    values: &'a [f64],
}

impl<'a> Sample<'a> {
    fn rounded(self) -> impl Iterator<Item = i64> + Clone + use<'a> {
        // `as` saturates, and turns what is not a number into 0.
        self.values.iter().map(|value| value.round() as i64)
    }

    /// Returns the value that viewers show first.
    fn last(self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }
}

/// Holds the samples of a profile, sorted.
struct Samples<'a> {
    /// Holds the stack and the labels of each sample, the rank of its values among `values`, and the last of these
    /// values. Samples are sorted by it, so it lies where sorting reads.
    samples: Vec<(ShownStack<'a>, LabelsId, usize, f64)>,
    /// The values of one sample after another, one for each value type.
    values: Vec<f64>,
    types: usize,
}

impl<'a> Samples<'a> {
    /// Sums rows up as samples. Stacks that differ only in plumbing become one; labels keep samples apart.
    fn of(profile: &'a Profile) -> Samples<'a> {
        let types = profile.types.len();
        let mut ranks: AddressMap<(ShownStack<'a>, LabelsId), usize> = AddressMap::default();
        ranks.reserve(profile.rows.len());
        let mut samples = Vec::with_capacity(profile.rows.len());
        let mut values: Vec<f64> = Vec::with_capacity(profile.rows.len() * types);
        for (stack, rows) in profile.shown_stacks() {
            for row in rows {
                let rank = *ranks.entry((stack, row.labels)).or_insert_with(|| {
                    samples.push((stack, row.labels, samples.len(), 0.0));
                    values.resize(values.len() + types, 0.0);
                    samples.len() - 1
                });
                let sums = &mut values[rank * types..][..types];
                sums.iter_mut().zip(row.values).for_each(|(sum, value)| *sum += value.value);
            }
        }
        let mut samples = Samples { samples, values, types };
        samples.sort(profile);
        samples
    }

    fn sort(&mut self, profile: &Profile) {
        let Samples { samples, values, types } = self;
        let values_of = |rank: usize| &values[rank * *types..][..*types];
        // In a snapshot all are kept, as in Go: a stack that has freed everything still tells what was allocated, and
        // its address list stays known to readers that compare scrapes.
        if profile.duration.is_some() {
            samples.retain(|&(_, _, rank, _)| values_of(rank).iter().any(|value| value.round() as i64 != 0));
        }
        for (_, _, rank, last) in samples.iter_mut() {
            *last = values_of(*rank).last().copied().unwrap_or(0.0);
        }
        samples.sort_unstable_by(|a, b| {
            let by_value = b.3.total_cmp(&a.3).then_with(|| a.0.cmp(&b.0));
            by_value.then_with(|| by_labels(profile, a.1, b.1))
        });
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn iter(&self) -> impl Iterator<Item = Sample<'_>> + Clone {
        self.samples.iter().map(|&(stack, labels, rank, _)| {
            let values = &self.values[rank * self.types..][..self.types];
            Sample { stack, labels, values }
        })
    }
}

/// Orders samples of one stack and value. It is a function of its own, so that the rest of the comparison is inlined.
#[inline(never)]
fn by_labels(profile: &Profile, a: LabelsId, b: LabelsId) -> Ordering {
    profile.rows.labels(a).cmp(profile.rows.labels(b))
}

#[cfg(test)]
mod tests;
