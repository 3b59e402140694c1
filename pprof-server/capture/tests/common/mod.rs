//! What the tests of captures share.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use capture::{CpuCapture, CpuSamples, LOOK_EVERY, Stack, StartError, Thread, ThreadDump, leave_out};

/// There is one capture at a time, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the threads of a test that it is over when this is dropped, and wakes the one that is parked: so a test that fails ends, too.
pub struct Ends<'a>(pub &'a AtomicBool, pub Option<thread::Thread>);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        if let Some(thread) = &self.1 {
            thread.unpark();
        }
    }
}

/// Runs a capture that a thread of its own looks at.
pub struct Looking {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<CpuSamples>>,
    turn: Option<MutexGuard<'static, ()>>,
}

impl Looking {
    pub fn start(hz: u32) -> Looking {
        Looking::start_in(turn(), hz).unwrap()
    }

    /// Begins a capture that tells when samples were taken.
    pub fn start_timed(hz: u32) -> Looking {
        Looking::start_by(turn(), move || CpuCapture::start_timed(hz)).unwrap()
    }

    /// Begins a capture in a turn that was taken.
    pub fn start_in(turn: MutexGuard<'static, ()>, hz: u32) -> Result<Looking, StartError> {
        Looking::start_by(turn, move || CpuCapture::start(hz))
    }

    fn start_by(
        turn: MutexGuard<'static, ()>,
        start: impl FnOnce() -> Result<CpuCapture, StartError> + Send + 'static,
    ) -> Result<Looking, StartError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let (started, has_started) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let _own = leave_out();
            let mut capture = match start() {
                Ok(capture) => capture,
                Err(error) => {
                    started.send(Err(error)).unwrap();
                    panic!("refused");
                }
            };
            started.send(Ok(())).unwrap();
            while !over.load(Relaxed) {
                thread::sleep(LOOK_EVERY);
                capture.look();
            }
            capture.finish()
        });
        has_started.recv().unwrap()?;
        Ok(Looking { is_over, thread: Some(thread), turn: Some(turn) })
    }

    pub fn finish(self) -> CpuSamples {
        self.finish_in().0
    }

    /// Ends the capture, but not the turn.
    pub fn finish_in(mut self) -> (CpuSamples, MutexGuard<'static, ()>) {
        self.is_over.store(true, Relaxed);
        (self.thread.take().unwrap().join().unwrap(), self.turn.take().unwrap())
    }
}

impl Drop for Looking {
    /// A test that fails leaves no capture to others.
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it fills in the time.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time that the process has used.
pub fn used_by_process() -> Duration {
    // SAFETY: it fills in the usage.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, 1000 * time.tv_usec as u32);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Uses so much CPU time of the calling thread, or a little more, and returns how much it was.
#[inline(never)]
pub fn burn(time: Duration) -> Duration {
    let start = time_of(libc::CLOCK_THREAD_CPUTIME_ID);
    loop {
        let used = time_of(libc::CLOCK_THREAD_CPUTIME_ID) - start;
        if used >= time {
            return used;
        }
        for number in 0..2000_u64 {
            std::hint::black_box(number.wrapping_mul(number));
        }
    }
}

/// The periods of the samples that have a frame in the function of this name.
pub fn periods_in(samples: &CpuSamples, function: &str) -> u64 {
    stacks_in(samples, function).iter().map(|stack| stack.periods).sum()
}

/// The stacks that have a frame in the function of this name.
pub fn stacks_in<'a>(samples: &'a CpuSamples, function: &str) -> Vec<&'a Stack> {
    let mut names: HashMap<usize, bool> = HashMap::new();
    let mut is_in = |address: usize| *names.entry(address).or_insert_with(|| is_of(address, function));
    samples.stacks.iter().filter(|stack| stack.frames.iter().any(|frame| is_in(frame.lookup()))).collect()
}

pub fn is_of(address: usize, function: &str) -> bool {
    let mut is_found = false;
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        is_found |= symbol.name().is_some_and(|name| name.to_string().contains(function));
    });
    is_found
}

/// Finds the thread with that name.
pub fn named<'a>(dump: &'a ThreadDump, name: &str) -> Option<&'a Thread> {
    dump.threads.iter().find(|thread| &*thread.name == name)
}

/// Returns what `ask` answers as soon as it does.
pub fn within_reason<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "nothing has changed");
        thread::sleep(Duration::from_millis(5));
    }
}
