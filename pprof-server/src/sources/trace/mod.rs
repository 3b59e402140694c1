//! What the program did in some time, event by event: samples of CPU time, waits for locks, blocks that came and went, what
//! threads were doing, and how much memory there was.
//!
//! ```text
//! every 100 ms: capture ─▶ samples, waits · blocks: what is in use now and was not before · threads: states · memory
//!                                                                      └─▶ Trace, with names ─▶ writers::firefox
//! ```
//!
//! Path: *read path*.

mod blocks;
mod notes;
mod pace;
mod threads;

use std::fmt;
use std::time::{Duration, SystemTime};

use alloc_profiler::StackTrace;
use capture::{CpuCapture, CpuSamples, LockEvent, LockEvents, LockTrace, StartError};

use super::turn::{Turn, Turns};
use crate::mappings::Mappings;
use crate::process;
use crate::profile::{Stacks, Symbolize};
use crate::trace::{MemoryPoint, Sample, Trace, Wait};
use blocks::Blocks;
use threads::Threads;

/// Everything is looked at so often at most.
pub(crate) const LOOK_EVERY: Duration = capture::LOOK_EVERY;

/// A trace that is being taken. One is taken at a time, and no CPU profile meanwhile.
pub(crate) struct Recording {
    cpu: CpuCapture,
    /// If the program's waits can be seen.
    locks: Option<LockTrace>,
    blocks: Blocks,
    threads: Threads,
    memory: Vec<MemoryPoint>,
    started: Duration,
    started_at: SystemTime,
    _turn: Turn,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("started", &self.started).finish_non_exhaustive()
    }
}

/// Why a trace could not begin.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// Another one is being taken.
    Traced,
    /// Its samples cannot be taken.
    Capture(StartError),
}

static TURNS: Turns = Turns::new();

impl Recording {
    /// Begins to sample each thread `hz` times in each second of its CPU time, and to watch all else.
    pub(crate) fn start(hz: u32) -> Result<Recording, NotStarted> {
        let turn = TURNS.take().ok_or(NotStarted::Traced)?;
        let cpu = CpuCapture::start_timed(hz).map_err(NotStarted::Capture)?;
        let locks = capture::sees_locks().then(LockTrace::start).transpose().map_err(NotStarted::Capture)?;
        let (started, started_at) = (capture::monotonic_time(), SystemTime::now());
        let mut recording = Recording {
            cpu,
            locks,
            blocks: Blocks::default(),
            threads: Threads::default(),
            memory: Vec::new(),
            started,
            started_at,
            _turn: turn,
        };
        recording.look_around();
        Ok(recording)
    }

    /// Takes over what happened since the last look. It is to be called every [`LOOK_EVERY`].
    ///
    /// Cost: it takes some 10 µs for each thread and 50 ns for each live sample of the heap, but no more than a twenty-fifth of
    /// the time.
    pub(crate) fn look(&mut self) {
        self.cpu.look();
        self.look_around();
    }

    fn look_around(&mut self) {
        self.threads.look_if_due(self.now());
        self.blocks.look_if_due(self.now());
        self.look_at_memory();
    }

    fn look_at_memory(&mut self) {
        let inuse_bytes = alloc_profiler::totals().map(|totals| totals.inuse_bytes);
        self.memory.push(MemoryPoint {
            at: self.now(),
            inuse_bytes,
            resident_bytes: process::resident_bytes(),
        });
    }

    /// The time since it began.
    fn now(&self) -> Duration {
        capture::monotonic_time().saturating_sub(self.started)
    }

    /// The stacks of samples so far, so that their names can be looked up before the end.
    pub(crate) fn stacks(&self) -> Vec<StackTrace> {
        let stacks = self.cpu.stacks();
        stacks.map(|(frames, is_truncated)| StackTrace::new(frames, is_truncated)).collect()
    }

    /// Ends it, with a last look at everything: what came before it would be missing where the one before was long ago.
    pub(crate) fn finish(mut self) -> Recorded {
        // mutant: E98 the end of a trace is not looked at
        self.threads.look(self.now());
        self.blocks.look(self.now());
        self.look_at_memory();
        let Recording { cpu, locks, blocks, threads, memory, started, started_at, _turn } = self;
        let duration = capture::monotonic_time().saturating_sub(started);
        let (cpu, locks) = (cpu.finish(), locks.map(LockTrace::finish));
        Recorded { cpu, locks, blocks, threads, memory, started, started_at, duration }
    }
}

/// What was recorded, without names.
#[derive(Debug)]
pub(crate) struct Recorded {
    cpu: CpuSamples,
    locks: Option<LockEvents>,
    blocks: Blocks,
    threads: Threads,
    memory: Vec<MemoryPoint>,
    started: Duration,
    started_at: SystemTime,
    duration: Duration,
}

impl Recorded {
    /// Makes the trace.
    ///
    /// Cost: it takes as long as naming the addresses.
    pub(crate) fn named(mut self, symbolize: Symbolize) -> Trace {
        let since_start = |at: Duration| at.saturating_sub(self.started).min(self.duration);
        let mut traces: Vec<StackTrace> = Vec::new();
        let of_cpu = self.cpu.stacks.iter();
        traces.extend(of_cpu.map(|stack| StackTrace::new(stack.frames.clone(), stack.is_truncated)));
        let mut samples: Vec<Sample> = self
            .cpu
            .timed
            .iter()
            .filter_map(|sample| {
                let thread_id = self.cpu.stacks.get(sample.stack)?.thread_id;
                let (at, periods) = (since_start(sample.at), sample.periods);
                Some(Sample { thread_id, at, stack: sample.stack, periods })
            })
            .collect();
        samples.sort_by_key(|sample| sample.at);
        let first_of_locks = traces.len();
        let locks = self.locks.take().unwrap_or_default();
        let of_locks = locks.stacks.iter();
        traces.extend(of_locks.map(|stack| StackTrace::new(stack.frames.clone(), stack.is_truncated)));
        let wait = |event: &LockEvent| Wait {
            kind: event.kind,
            thread_id: event.thread_id,
            at: since_start(event.at),
            waited: event.waited,
            stack: event.stack.map(|stack| first_of_locks + stack),
        };
        let mut waits: Vec<Wait> = locks.events.iter().map(wait).collect();
        waits.sort_by_key(|wait| wait.at);
        let first_of_blocks = traces.len();
        traces.append(&mut self.blocks.stacks);
        let mut blocks = std::mem::take(&mut self.blocks.events);
        blocks.iter_mut().for_each(|event| event.stack = event.stack.map(|stack| first_of_blocks + stack));
        let stacks = Stacks::of(traces.iter(), &[], Mappings::of_process(), symbolize);
        let notes = notes::notes(&self, locks.lost, &traces, &stacks);
        for stack in &self.cpu.stacks {
            self.threads.meet(stack.thread_id, &stack.thread);
        }
        Trace {
            started_at: self.started_at,
            duration: self.duration,
            period: self.cpu.period,
            threads: self.threads.finish(self.duration),
            samples,
            waits,
            blocks,
            memory: self.memory,
            stacks,
            notes,
        }
    }
}

#[cfg(test)]
mod tests;
