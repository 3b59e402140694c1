//! Exact figures of what some code allocates, for tests and benchmarks.
//!
//! While a thread is measured, each of its allocations is recorded, with its stack. They stand for themselves alone in the
//! profile, whose estimates stay unbiased.
//!
//! Path: *called by the program*, never by the allocator.

mod error;
mod measured;
mod running;

use std::marker::PhantomData;

pub use error::CannotMeasure;
pub use measured::{Measured, MeasuredStack};
use running::Running;

/// Runs `work` and tells exactly what the calling thread allocates meanwhile: how many blocks and bytes, how much was in
/// use at most, and on which stacks.
///
/// What other threads allocate does not count, so tests that run side by side do not disturb each other. A block that
/// another thread frees is noticed. What the thread allocates inside [`unsampled`](crate::unsampled) does not count.
/// Measurements may nest: what the inner one counts, the outer one counts too.
///
/// `pprof_server::measure` does the same and names the lines.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();
/// let (text, measured) = alloc_profiler::measure(|| "a".repeat(100))?;
/// assert_eq!((measured.alloc_objects, measured.peak_bytes), (1, 100), "{measured}");
/// assert_eq!(measured.inuse_bytes(), 100, "the text is still there");
/// # drop(text);
/// # Ok::<(), alloc_profiler::CannotMeasure>(())
/// ```
///
/// # Errors
///
/// It fails, and does not call `work`, where it would count nothing or too little: see [`CannotMeasure`]. The most likely reason is
/// that the program has no [`SamplingAllocator`](crate::SamplingAllocator).
///
/// # Cost
///
/// An allocation and its free take as long as at a sampling interval of 1, and a little more. If blocks are still in use at the
/// end, all records of sampled blocks are looked through.
pub fn measure<R>(work: impl FnOnce() -> R) -> Result<(R, Measured), CannotMeasure> {
    let measurement = Measurement::of_thread()?;
    let result = work();
    Ok((result, measurement.end()?))
}

/// Runs `work` and tells what all threads allocate meanwhile.
///
/// It is exact for the calling thread, for threads that begin meanwhile, and for threads that were measured or had a sampling
/// interval of 1 before. Any other thread that ran before is measured after it has allocated up to 1 MiB more. Such threads are counted
/// ([`Measured::late_threads`]) when they are first measured. A test harness has such threads. So let the interval be 1 from the
/// beginning of `main` on ([`set_sampling_interval`](crate::set_sampling_interval)), or measure threads.
///
/// # Errors
///
/// It fails where [`measure`] does, and if the process is being measured already.
///
/// # Cost
///
/// It costs what [`measure`] costs, in all threads.
pub fn measure_process<R>(work: impl FnOnce() -> R) -> Result<(R, Measured), CannotMeasure> {
    let measurement = Measurement::of_process()?;
    let result = work();
    Ok((result, measurement.end()?))
}

/// A measurement that runs until it is ended or dropped: [`measure`] for what is no closure.
///
/// It stays in its thread, for it measures what that thread allocates. So it cannot be held across an `.await` in a task that may
/// move to another thread.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();
/// let measurement = alloc_profiler::Measurement::of_thread()?;
/// let numbers: Vec<u32> = (0..100).collect();
/// let measured = measurement.end()?;
/// assert_eq!(measured.alloc_bytes, 400, "{measured}");
/// # drop(numbers);
/// # Ok::<(), alloc_profiler::CannotMeasure>(())
/// ```
#[derive(Debug)]
#[must_use = "it measures until it is dropped, and only `end` tells what it has found"]
pub struct Measurement {
    /// It is there until the measurement has ended.
    running: Option<Running>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Measurement {
    /// Begins to measure what the calling thread allocates.
    ///
    /// # Errors
    ///
    /// It fails where [`measure`] does.
    pub fn of_thread() -> Result<Measurement, CannotMeasure> {
        Ok(Measurement { running: Some(Running::begin_of_thread()?), _of_this_thread: PhantomData })
    }

    /// Begins to measure what all threads allocate, as [`measure_process`] does.
    ///
    /// # Errors
    ///
    /// It fails where [`measure_process`] does.
    pub fn of_process() -> Result<Measurement, CannotMeasure> {
        Ok(Measurement { running: Some(Running::begin_of_process()?), _of_this_thread: PhantomData })
    }

    /// Ends the measurement, and returns what it has found.
    ///
    /// # Errors
    ///
    /// [`CannotMeasure::Forked`] if this process is a child that was forked meanwhile.
    pub fn end(mut self) -> Result<Measured, CannotMeasure> {
        self.running.take().map_or_else(|| Ok(Measured::default()), Running::end)
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.end();
        }
    }
}
