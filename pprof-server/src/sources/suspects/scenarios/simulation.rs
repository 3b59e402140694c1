//! Programs in simulated time: their blocks, which of them are sampled, and the snapshots that the recorder takes of them.
//!
//! A program is one stack on which blocks are allocated at random moments and freed at moments of its own; each is sampled as the
//! profiler samples, by its size.

use alloc_profiler::internal::literal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use alloc_profiler::{AgeTotals, Births, SizeTotals, Snapshot, StackTotals, Totals};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::method::Growth;
use super::super::series::{Moments, looked_at, series};
use super::super::{LONGEST_WINDOW, verdict, windows};
use crate::history::{DEFAULT_LIMIT_BYTES, DEFAULT_PERIOD, History, testing};
use crate::process::Memory;

/// The mean number of bytes between samples.
pub(super) const INTERVAL: f64 = 524_288.0;

/// How time goes in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The times of blocks are told in this unit.
    pub(super) unit: Duration,
    /// So many units are between two records.
    pub(super) step: u32,
}

/// One block: when it is allocated and freed, and its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) born: f64,
    pub(super) dies: f64,
    pub(super) bytes: f64,
}

/// A block that the profiler took as a sample.
pub(super) struct Sample {
    pub(super) block: Block,
    /// Objects that it stands for.
    pub(super) weight: f64,
}

impl Sample {
    /// What it adds to what is in use.
    fn totals(&self) -> Totals {
        let (weight, bytes) = (self.weight, self.block.bytes);
        literal!(Totals {
            inuse_objects: weight,
            inuse_bytes: weight * bytes,
            inuse_samples: 1,
            inuse_objects_variance: weight * (weight - 1.0),
            inuse_bytes_variance: weight * (weight - 1.0) * bytes * bytes,
            ..Totals::default()
        })
    }
}

/// The blocks that the profiler takes as samples.
pub(super) fn sampled(
    blocks: Vec<Block>,
    generator: &mut SmallRng,
    interval_at: impl Fn(f64) -> f64,
) -> Vec<Sample> {
    blocks
        .into_iter()
        .filter_map(|block| {
            let interval = interval_at(block.born);
            let probability = if interval <= 1.0 { 1.0 } else { 1.0 - (-block.bytes / interval).exp() };
            generator.random_bool(probability).then_some(Sample { block, weight: 1.0 / probability })
        })
        .collect()
}

/// A run, up to a moment that moves on.
pub(super) struct Run<'a> {
    pace: Pace,
    /// Births and deaths that are to come, the latest first.
    changes: Vec<(f64, bool, &'a Sample)>,
    samples: &'a [Sample],
    /// What is in use, by the first snapshot that has it.
    in_use: BTreeMap<u32, Totals>,
    interval_at: &'a dyn Fn(f64) -> f64,
    start: Instant,
    /// How many records there are so far.
    records: u32,
    history: History,
}

impl<'a> Run<'a> {
    pub(super) fn new(samples: &'a [Sample], pace: Pace, interval_at: &'a dyn Fn(f64) -> f64) -> Run<'a> {
        let mut changes: Vec<(f64, bool, &Sample)> = samples
            .iter()
            .flat_map(|sample| [(sample.block.born, true, sample), (sample.block.dies, false, sample)])
            .filter(|change| change.0.is_finite())
            .collect();
        changes.sort_by(|a, b| b.0.total_cmp(&a.0));
        Run {
            pace,
            changes,
            samples,
            in_use: BTreeMap::new(),
            interval_at,
            start: Instant::now(),
            records: 0,
            history: History::new(Some(DEFAULT_PERIOD.min(pace.unit * pace.step)), DEFAULT_LIMIT_BYTES),
        }
    }

    /// The snapshot at the moment `time`, up to which records are made, with ages.
    pub(super) fn now(&mut self, time: u32) -> Snapshot {
        while self.records * self.pace.step < time {
            let snapshot = self.snapshot(self.records * self.pace.step);
            self.history.record(&snapshot, Memory::default(), snapshot.taken_at_monotonic);
            self.records += 1;
        }
        let mut now = self.snapshot(time);
        now.stacks[0].by_size[0].ages = self.ages(f64::from(time));
        now
    }

    /// Holds the records so far.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// The verdict at the moment `time`, up to which records are made. With a window, it is by that one alone.
    pub(super) fn verdict_at(&mut self, time: u32, window: Option<Duration>) -> Option<Growth> {
        let now = self.now(time);
        let records = looked_at(&self.history, now.taken_at_monotonic, window.unwrap_or(LONGEST_WINDOW));
        let moments = Moments::of(&records, &now, now.taken_at_monotonic);
        let series = series(&moments, &records, &now, |_| Some(0));
        verdict(series.get(&0)?, &windows::windows(&moments, window.is_some()))
    }

    /// The snapshot at a moment, which is not before that of the last one. The number of the first one is 1.
    fn snapshot(&mut self, time: u32) -> Snapshot {
        let number = self.records + 1;
        while let Some((at, is_born, sample)) = self.changes.pop_if(|change| change.0 <= f64::from(time)) {
            let first = |born: f64| (born / f64::from(self.pace.step)).ceil() as u32;
            let of_then = self.in_use.entry(first(sample.block.born)).or_default();
            debug_assert!(at <= f64::from(time));
            *of_then = if is_born {
                let mut sum = *of_then;
                sum += sample.totals();
                sum
            } else {
                of_then.without(sample.totals())
            };
        }
        self.in_use.retain(|_, totals| totals.inuse_samples > 0);
        let mut totals = Totals::default();
        self.in_use.values().for_each(|part| totals += *part);
        let births = self.in_use.iter().map(|(first, totals)| {
            literal!(Births {
                after_snapshot: *first,
                objects_variance: totals.inuse_objects_variance,
                bytes_variance: totals.inuse_bytes_variance,
                ..Births::default()
            })
        });
        let births = births.filter(|births| births.bytes_variance > 0.0).collect();
        let size = literal!(SizeTotals { size_class: 1, totals, births, ..SizeTotals::default() });
        literal!(Snapshot {
            number,
            taken_at: UNIX_EPOCH + self.pace.unit * time,
            taken_at_monotonic: self.start + self.pace.unit * time,
            stacks: vec![literal!(StackTotals { by_size: vec![size], ..StackTotals::default() })],
            overflow: Vec::new(),
            sampling_interval: (self.interval_at)(f64::from(time)) as u64,
            ..testing::snapshot(&[])
        })
    }

    /// Of what is in use at a moment.
    fn ages(&self, time: f64) -> Vec<AgeTotals> {
        let is_in_use = |sample: &&Sample| sample.block.born <= time && sample.block.dies > time;
        let mut by_age: BTreeMap<Duration, Totals> = BTreeMap::new();
        for sample in self.samples.iter().filter(is_in_use) {
            let age = self.pace.unit.mul_f64(time - sample.block.born);
            *by_age.entry(age).or_default() += sample.totals();
        }
        let age = |(age, totals): (Duration, Totals)| {
            literal!(AgeTotals {
                age,
                objects: totals.inuse_objects,
                bytes: totals.inuse_bytes,
                samples: totals.inuse_samples,
                objects_variance: totals.inuse_objects_variance,
                bytes_variance: totals.inuse_bytes_variance,
                ..AgeTotals::default()
            })
        };
        by_age.into_iter().map(age).collect()
    }
}
