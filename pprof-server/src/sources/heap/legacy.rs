//! This makes what a profile of the heap says in Go's legacy text: its figures, its header and its statistics.
//!
//! The numbers stand in it *as sampled*; the reader scales them up itself, by the interval in the header. Each row is
//! one stack in one size class, so that the reader's factor `1 / (1 - e^(-mean size / interval))` is the one that the
//! profiler weighed its samples with. That does not work where the interval was changed, and samples were weighed with
//! another one than the present. Then the estimates themselves stand there, and the header says that every allocation
//! was recorded, so that the reader leaves them alone.
//!
//! Path: *read path*.

use super::totals;
use crate::process::{self, status_bytes};
use crate::profile::{Estimate, LegacyForm, Profile};
use alloc_profiler::Totals;
use std::fmt;

/// What a profile of the heap says in Go's legacy text.
#[derive(Debug)]
pub(crate) struct HeapText {
    /// The mean bytes between samples that the reader is told. At 1 or less it takes the figures as they are.
    interval: u64,
    totals: Totals,
    own_bytes: u64,
}

impl HeapText {
    /// Makes the text of `profile`, which is one of the heap.
    pub(super) fn of(profile: &Profile) -> Box<dyn LegacyForm> {
        let interval = profile.period.value;
        let is_as_sampled = profile.rows.iter().all(|row| is_weighed_with(interval, &totals(row.values)));
        Box::new(HeapText {
            interval: if is_as_sampled { interval } else { 1 },
            totals: totals(&profile.totals),
            own_bytes: profile.own_bytes,
        })
    }

    /// Returns the figures of one row: what is in use, and what was allocated.
    fn sampled(&self, values: &[Estimate]) -> [Sampled; 2] {
        let Totals { alloc_objects, alloc_bytes, alloc_samples, .. } = totals(values);
        let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = totals(values);
        let is_exact = self.interval <= 1;
        [
            Sampled::new(inuse_samples, inuse_objects, inuse_bytes, is_exact),
            Sampled::new(alloc_samples, alloc_objects, alloc_bytes, is_exact),
        ]
    }
}

impl LegacyForm for HeapText {
    fn header(&self, rows: &mut dyn Iterator<Item = &[Estimate]>) -> String {
        let mut sums = [Sampled::default(); 2];
        for values in rows {
            for (sum, row) in sums.iter_mut().zip(self.sampled(values)) {
                sum.objects = sum.objects.saturating_add(row.objects);
                sum.bytes = sum.bytes.saturating_add(row.bytes);
            }
        }
        let [inuse, mut alloc] = sums;
        // The reader takes two equal pairs for an old format that has one pair only.
        if alloc.bytes == inuse.bytes {
            alloc.bytes = alloc.bytes.saturating_add(1);
        }
        // The reader halves this number. An interval of 0 (off) counts as 1, so that the reader leaves the numbers
        // alone: the rows hold estimates.
        let twice_interval = self.interval.clamp(1, i64::MAX as u64 / 2) * 2;
        format!(
            "heap profile: {}: {} [{}: {}] @ heap/{twice_interval}",
            inuse.objects, inuse.bytes, alloc.objects, alloc.bytes
        )
    }

    fn weight(&self, values: &[Estimate]) -> (i64, i64) {
        let [inuse, alloc] = self.sampled(values);
        (inuse.bytes, alloc.bytes)
    }

    /// Writes `objects: bytes [objects: bytes]`.
    fn write_figures(&self, values: &[Estimate], text: &mut dyn fmt::Write) -> fmt::Result {
        let [inuse, alloc] = self.sampled(values);
        write!(text, "{}: {} [{}: {}]", inuse.objects, inuse.bytes, alloc.objects, alloc.bytes)
    }

    /// Writes what Go has in `runtime.MemStats`, under Go's names where they mean the same. The figures are estimates,
    /// except for the last two, which are the memory of the profiler and of the process.
    fn write_statistics(&self, text: &mut dyn fmt::Write) -> fmt::Result {
        let totals = &self.totals;
        let lines = [
            ("Alloc", totals.inuse_bytes),
            ("TotalAlloc", totals.alloc_bytes),
            ("Mallocs", totals.alloc_objects),
            ("Frees", totals.alloc_objects - totals.inuse_objects),
            ("HeapAlloc", totals.inuse_bytes),
            ("HeapObjects", totals.inuse_objects),
            ("BuckHashSys", self.own_bytes as f64),
        ];
        text.write_str("\n# runtime.MemStats\n")?;
        for (name, value) in lines {
            writeln!(text, "# {name} = {}", value.round() as i64)?;
        }
        let status = process::status().unwrap_or_default();
        if let Some(bytes) = status_bytes(&status, "VmHWM") {
            writeln!(text, "# MaxRSS = {bytes}")?;
        }
        Ok(())
    }
}

/// Objects and bytes as they were sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sampled {
    objects: i64,
    bytes: i64,
}

impl Sampled {
    /// Undoes the weights: there are as many objects as samples, of their mean size. With `is_exact`, every object is a
    /// sample, or the reader is told so.
    fn new(samples: i64, objects: f64, bytes: f64, is_exact: bool) -> Sampled {
        let sampled = if is_exact {
            Sampled { objects: objects.round() as i64, bytes: bytes.round() as i64 }
        } else if objects > 0.0 {
            Sampled { objects: samples, bytes: (samples as f64 * (bytes / objects)).round() as i64 }
        } else {
            Sampled::default()
        };
        // To the reader, bytes without an object are an error, and it knows no negative totals.
        if sampled.objects <= 0 || sampled.bytes < 0 { Sampled::default() } else { sampled }
    }
}

/// Whether the reader, who knows `interval` and the mean size, comes to what the profiler has, within a tenth. (Sizes
/// of a class differ by a quarter at most, which makes some hundredths.)
fn is_weighed_with(interval: u64, totals: &Totals) -> bool {
    let Totals { alloc_objects, alloc_bytes, alloc_samples, .. } = *totals;
    let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = *totals;
    let is_close = |samples: i64, objects: f64, bytes: f64| {
        let weight = -1.0 / (-bytes / objects / interval as f64).exp_m1();
        samples <= 0 || objects <= 0.0 || (weight * samples as f64 / objects - 1.0).abs() < 0.1
    };
    interval <= 1
        || is_close(alloc_samples, alloc_objects, alloc_bytes)
            && is_close(inuse_samples, inuse_objects, inuse_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_breaks_the_format() {
        assert_eq!(Sampled::new(0, 0.0, 5.0, false), Sampled::default());
        assert_eq!(Sampled::new(-2, -2.0, -5.0, false), Sampled::default());
        assert_eq!(Sampled::new(1, f64::NAN, f64::NAN, true), Sampled::default());
        assert_eq!(Sampled::new(1, 0.2, 5.0, true), Sampled::default());
    }
}
