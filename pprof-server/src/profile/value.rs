//! This says what the values of a profile mean, and what a value is: an estimate with its error.
//!
//! Path: *read path*. These are plain numbers.

use super::units::Unit;
use std::ops::AddAssign;

/// One quantity that a profile measures for every row, such as `inuse_space` in bytes.
#[derive(Debug)]
pub(crate) struct ValueType {
    /// The name that readers know it by.
    pub(crate) name: &'static str,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// The events that it counts or weighs.
    pub(crate) family: &'static Family,
}

/// Events that are both counted and weighed, such as the blocks in use: the value types of a family share their samples.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    /// What a total of it is called, such as `In use`.
    pub(crate) total: &'static str,
    /// What the total of a difference is called. ` in 3.0 s` follows.
    pub(crate) change: &'static str,
    /// What a share of it is a share of, such as `what is in use`.
    pub(crate) whole: &'static str,
    /// What the events are that it counts, such as `in use`.
    pub(crate) state: &'static str,
    /// What a stack without any of it has in a difference.
    pub(crate) no_change: &'static str,
    /// What is counted, such as `objects`.
    pub(crate) events: &'static str,
    /// What the number of samples behind it is called in JSON, such as `inuse_samples`.
    pub(crate) samples: &'static str,
    /// Whether events end, so that in a difference as many samples may have gone as came.
    pub(crate) comes_and_goes: bool,
}

/// A value: what is estimated of the whole program, the samples that it rests on, and how far it may be off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    /// Holds the estimate, in the unit of its type. It may be negative in a difference.
    pub(crate) value: f64,
    /// Counts the samples behind it. In a difference they may cancel out.
    pub(crate) samples: i64,
    /// Holds the square of one standard error. It is 0 where every sample was taken with certainty.
    pub(crate) variance: f64,
}

impl Estimate {
    /// Returns the value as profiles have it: a whole number. A value that is too large becomes the largest there is,
    /// and 0 stands for what is no number.
    pub(crate) fn rounded(self) -> i64 {
        self.value.round() as i64
    }

    /// Returns what is left without `part`, whose samples are all among those of `self`.
    pub(crate) fn without(self, part: Estimate) -> Estimate {
        let variance = self.variance - part.variance;
        // The two are sums that round differently, so what is left may be a rounding error.
        let is_nothing = variance <= self.variance.abs() * 1e-9;
        Estimate {
            value: self.value - part.value,
            samples: self.samples - part.samples,
            variance: if is_nothing { 0.0 } else { variance },
        }
    }
}

impl AddAssign for Estimate {
    /// Sums of different events, which are sampled independently: variances add up.
    fn add_assign(&mut self, other: Estimate) {
        self.value += other.value;
        self.samples += other.samples;
        self.variance += other.variance;
    }
}

/// Adds each of `values` to the one of the same type in `sums`.
pub(crate) fn add(sums: &mut [Estimate], values: &[Estimate]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
}

/// Returns one standard error of the value at `index`. It is `None` where no sample says anything of its family, whose
/// last type tells.
pub(crate) fn standard_error(types: &[ValueType], values: &[Estimate], index: usize) -> Option<f64> {
    let family = types.get(index)?.family;
    let last = types.iter().rposition(|of| of.family == family)?;
    let Estimate { value, samples, variance } = *values.get(last)?;
    let is_known = samples != 0 || variance > 0.0 || family.comes_and_goes && value != 0.0;
    is_known.then(|| values.get(index).map_or(0.0, |value| value.variance.max(0.0).sqrt()))
}

/// Yields the value types by which rows are weighed, at most two, the more telling one first. They are those that are
/// no counts, from the last on, which viewers show first; or the last type if all of them are counts.
pub(crate) fn weights(types: &[ValueType]) -> impl Iterator<Item = usize> + Clone {
    let all_count = types.iter().all(|of| of.unit == Unit::Count);
    let last = types.len().checked_sub(1).filter(|_| all_count);
    let amounts = (0..types.len()).rev().filter(move |&index| !all_count && types[index].unit != Unit::Count);
    amounts.chain(last).take(2)
}
