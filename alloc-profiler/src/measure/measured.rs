//! This module has what a measurement has found, as plain owned data.

use std::collections::HashMap;
use std::fmt;

use crate::snapshot::StackTrace;
use crate::tables::live;
use crate::tables::measured::{Counts, Figures, Frames, Tag};
use crate::tables::stacks;

/// How many stacks are shown in text.
const SHOWN_STACKS: usize = 10;

/// This tells what was allocated while it was measured. All figures are exact unless [`is_exact`](Measured::is_exact) says otherwise.
///
/// A `realloc` counts as the free of the old block and the allocation of the new one, in this order. Sizes are those that
/// were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// How many blocks were allocated.
    pub alloc_objects: u64,
    /// How many bytes these blocks have.
    pub alloc_bytes: u64,
    /// How many of these blocks were freed before the end, by whatever thread. Blocks that were allocated before the beginning
    /// are not among them.
    pub freed_objects: u64,
    /// How many bytes those have.
    pub freed_bytes: u64,
    /// How many bytes of these blocks were in use at most at one moment.
    pub peak_bytes: u64,
    /// The stacks that allocated, of which the one with the most bytes comes first.
    pub stacks: Vec<MeasuredStack>,
    /// How many blocks at most may have been freed without being noticed, because there was no room for their records
    /// ([`set_limits`](crate::set_limits)) or a thread was stopped for a second while it held a lock. Then `freed_*` may be too low
    /// by as many blocks, and `peak_bytes` too high.
    pub untracked_blocks: u64,
    /// How many threads ran before the process was measured and were measured only after up to 1 MiB of their own
    /// allocations, which are not in these figures: see [`measure_process`](crate::measure_process).
    pub late_threads: u32,
}

/// This tells what was allocated on one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeasuredStack {
    /// The stack, of which the leaf comes first. It has no frames where too little of the thread's own stack was left to
    /// unwind it.
    pub trace: StackTrace,
    /// How many blocks were allocated on it.
    pub alloc_objects: u64,
    /// How many bytes these blocks have.
    pub alloc_bytes: u64,
    /// How many of them had not been freed at the end.
    pub inuse_objects: u64,
    /// How many bytes those have.
    pub inuse_bytes: u64,
}

impl Measured {
    /// Returns how many of the blocks had not been freed at the end.
    #[must_use]
    pub fn inuse_objects(&self) -> u64 {
        self.alloc_objects.saturating_sub(self.freed_objects)
    }

    /// Returns how many bytes those have.
    #[must_use]
    pub fn inuse_bytes(&self) -> u64 {
        self.alloc_bytes.saturating_sub(self.freed_bytes)
    }

    /// Whether no allocation and no free can have been missed, as far as is known.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.untracked_blocks == 0 && self.late_threads == 0
    }

    /// Tells in sentences why the figures may not be exact. There are none if they are.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let untracked = (self.untracked_blocks > 0).then(|| {
            format!(
                "Up to {} blocks may have been freed without being noticed: there was no room for their records \
                 (alloc_profiler::set_limits), or a thread was stopped for a second.",
                self.untracked_blocks
            )
        });
        let late = (self.late_threads > 0).then(|| {
            format!(
                "{} threads ran before the measurement, and allocated up to 1 MiB each that it has not counted: let the sampling \
                 interval be 1 before threads begin.",
                self.late_threads
            )
        });
        untracked.into_iter().chain(late).collect()
    }

    /// Makes it of the figures of a measurement. `for_each_stack` calls its argument with each stack that was met, and `counts`
    /// says whether the measurement counts the block with a tag.
    pub(super) fn of(
        figures: Figures,
        for_each_stack: impl FnOnce(&mut dyn FnMut(Frames, Counts)),
        counts: impl Fn(Tag) -> bool,
    ) -> Measured {
        let mut of_stacks: HashMap<Key, MeasuredStack> = HashMap::new();
        for_each_stack(&mut |stack, counts| {
            let of_stack = of_stacks.entry(key(stack)).or_insert_with(|| MeasuredStack::nothing(stack));
            of_stack.alloc_objects += counts.objects;
            of_stack.alloc_bytes += counts.bytes;
        });
        if figures.allocated.objects != figures.freed.objects {
            add_in_use(&mut of_stacks, counts);
        }
        let mut stacks: Vec<MeasuredStack> = of_stacks.into_values().collect();
        let rank = |stack: &MeasuredStack| (stack.alloc_bytes, stack.alloc_objects);
        stacks.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.trace.frames.cmp(&b.trace.frames)));
        Measured {
            alloc_objects: figures.allocated.objects,
            alloc_bytes: figures.allocated.bytes,
            freed_objects: figures.freed.objects,
            freed_bytes: figures.freed.bytes,
            peak_bytes: figures.peak_bytes,
            stacks,
            untracked_blocks: figures.untracked_blocks,
            late_threads: 0,
        }
    }
}

impl MeasuredStack {
    fn nothing(stack: Frames) -> MeasuredStack {
        let frames: Box<[_]> = stack.frames.iter().rev().copied().collect();
        MeasuredStack {
            trace: StackTrace::new(frames, stack.is_truncated),
            alloc_objects: 0,
            alloc_bytes: 0,
            inuse_objects: 0,
            inuse_bytes: 0,
        }
    }
}

/// A stack is kept once, so where its frames are tells it from all others.
type Key = (usize, usize, bool);

fn key(stack: Frames) -> Key {
    (stack.frames.as_ptr().addr(), stack.frames.len(), stack.is_truncated)
}

/// Adds what is in use, by the records of the blocks.
fn add_in_use(of_stacks: &mut HashMap<Key, MeasuredStack>, counts: impl Fn(Tag) -> bool) {
    let mut of_sites: HashMap<u32, Counts> = HashMap::new();
    live::for_each_shard(|samples| {
        for sample in samples.iter().filter(|sample| Tag::of(sample).is_some_and(&counts)) {
            let of_site = of_sites.entry(sample.site_id).or_default();
            of_site.objects += 1;
            of_site.bytes += sample.size as u64;
        }
    });
    for of_stack in of_stacks.values_mut() {
        let frames: Vec<_> = of_stack.trace.frames.iter().rev().copied().collect();
        stacks::for_each_site_of(&frames, of_stack.trace.is_truncated, |site| {
            if let Some(in_use) = of_sites.get(&site.id()) {
                of_stack.inuse_objects += in_use.objects;
                of_stack.inuse_bytes += in_use.bytes;
            }
        });
    }
}

impl fmt::Display for Measured {
    /// Writes the figures, and the addresses of some stacks. `pprof_server::measure` names the lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} allocations of {} bytes; {} of them, with {} bytes, were freed; {} bytes were in use at most",
            self.alloc_objects, self.alloc_bytes, self.freed_objects, self.freed_bytes, self.peak_bytes
        )?;
        for doubt in self.doubts() {
            writeln!(f, "{doubt}")?;
        }
        for stack in self.stacks.iter().take(SHOWN_STACKS) {
            write!(f, "  {} allocations of {} bytes at", stack.alloc_objects, stack.alloc_bytes)?;
            for frame in stack.trace.frames.iter().take(SHOWN_STACKS) {
                write!(f, " {:#x}", frame.address())?;
            }
            writeln!(f)?;
        }
        match self.stacks.len().saturating_sub(SHOWN_STACKS) {
            0 => Ok(()),
            more => writeln!(f, "  {more} stacks more"),
        }
    }
}
