//! What there is on platforms without a capture machine: a refusal.

#[cfg(not(target_os = "linux"))]
use std::sync::Arc;
use std::time::Duration;

use crate::{CpuSamples, LockSamples, StartError, ThreadDump};

/// A capture of CPU time. There is none on this platform.
#[derive(Debug)]
pub enum CpuCapture {}

impl CpuCapture {
    /// Begins a capture.
    ///
    /// # Errors
    ///
    /// The error is always [`StartError::NotOnThisPlatform`].
    pub fn start(_hz: u32) -> Result<CpuCapture, StartError> {
        Err(StartError::NotOnThisPlatform)
    }

    /// Begins a capture.
    ///
    /// # Errors
    ///
    /// The error is always [`StartError::NotOnThisPlatform`].
    pub fn start_timed(_hz: u32) -> Result<CpuCapture, StartError> {
        Err(StartError::NotOnThisPlatform)
    }

    /// Takes over what was sampled.
    pub fn look(&mut self) {
        match *self {}
    }

    /// Yields the stacks that were sampled so far.
    pub fn stacks(&self) -> std::iter::Empty<(&[unwinder::CodeAddress], bool)> {
        match *self {}
    }

    /// Ends the capture.
    #[must_use]
    pub fn finish(self) -> CpuSamples {
        match self {}
    }
}

/// Takes the stacks of all threads.
///
/// # Errors
///
/// The error is always [`StartError::NotOnThisPlatform`].
pub fn thread_dump() -> Result<ThreadDump, StartError> {
    Err(StartError::NotOnThisPlatform)
}

/// Looks which threads wait.
///
/// # Errors
///
/// The error is always [`StartError::NotOnThisPlatform`].
pub fn current_waits() -> Result<crate::CurrentWaits, StartError> {
    Err(StartError::NotOnThisPlatform)
}

impl crate::CurrentWaits {
    /// Leaves out the threads that have gone on since the look.
    pub fn keep_lasting(&mut self) {
        self.waits.clear();
    }
}

/// Tells where the stack pointers of all threads are.
///
/// # Errors
///
/// The error is always that this is not known here.
#[cfg(not(target_os = "linux"))]
pub fn stack_pointers() -> std::io::Result<Vec<crate::StackPointer>> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Tells what each thread of this process does.
///
/// # Errors
///
/// The error is always that this is not known here.
pub fn thread_looks() -> std::io::Result<Vec<crate::ThreadLook>> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Returns how long it is since this was called for the first time.
#[must_use]
pub fn monotonic_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// Returns the name of each thread of this process. They are not known here.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn thread_names() -> Vec<Arc<str>> {
    Vec::new()
}

/// While it exists, the thread is left out.
#[derive(Debug)]
pub struct OwnThread(());

/// Leaves the calling thread out of all captures. Nothing has to be done for that here.
#[must_use]
pub fn leave_out() -> OwnThread {
    OwnThread(())
}

/// Does nothing on this platform.
#[cfg(not(target_os = "linux"))]
pub fn stand_back() {}

/// The rate of waits where they are measured.
pub const USUAL_BLOCK_RATE: Duration = Duration::from_millis(1);

/// Has waits for locks be measured.
///
/// # Errors
///
/// The error is always [`StartError::NotOnThisPlatform`].
pub fn set_block_rate(_rate: Option<Duration>) -> Result<(), StartError> {
    Err(StartError::NotOnThisPlatform)
}

/// Returns what lies between two samples of waits. They are not measured here.
#[must_use]
pub fn block_rate() -> Option<Duration> {
    None
}

/// While it exists, waits for locks are measured. There is none on this platform.
#[derive(Debug)]
pub enum LockWatch {}

impl LockWatch {
    /// Begins to measure waits.
    ///
    /// # Errors
    ///
    /// The error is always [`StartError::NotOnThisPlatform`].
    pub fn start() -> Result<LockWatch, StartError> {
        Err(StartError::NotOnThisPlatform)
    }
}

/// While it exists, waits are kept one by one. There is none on this platform.
#[derive(Debug)]
pub enum LockTrace {}

impl LockTrace {
    /// Begins to measure waits.
    ///
    /// # Errors
    ///
    /// The error is always [`StartError::NotOnThisPlatform`].
    pub fn start() -> Result<LockTrace, StartError> {
        Err(StartError::NotOnThisPlatform)
    }

    /// Ends it.
    #[must_use]
    pub fn finish(self) -> crate::LockEvents {
        match self {}
    }
}

/// Returns what was found: nothing.
#[must_use]
pub fn lock_samples() -> LockSamples {
    LockSamples::default()
}

/// Whether waits can be measured. They cannot.
#[must_use]
pub fn sees_locks() -> bool {
    false
}

/// Defines nothing, since waits are not measured here.
#[macro_export]
macro_rules! define_syscall {
    () => {};
}
