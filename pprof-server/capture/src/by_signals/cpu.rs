//! The controller of a CPU capture: it gives each thread a timer, and takes over what handlers find.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use unwinder::CodeAddress;

use super::interned::Interned;
use super::known_threads::KnownThreads;
use super::machine::{Active, Machine};
use super::purpose::Purpose;
use super::ring::Header;
use super::sender::Senders;
use super::timers::{Timer, used_time};
use super::turn::Turn;
use super::{fork, forks, maps, own_threads, signals};
use crate::threads;
use crate::{CpuSamples, LOOK_EVERY, MAX_HZ, StartError, TimedSample};

/// Timers that threads get at most: the system has a limit on those of all processes of a user.
const MAX_TIMERS: usize = 4096;

/// Samples whose times are kept: 43 minutes of one busy processor, in 8 MiB.
const MAX_TIMES: usize = 1 << 18;

/// Listing mappings may take this part of the time, in programs that have very many of them.
const MAPS_SHARE: u32 = 200;

/// A capture of CPU time. Dropping it ends the capture.
#[derive(Debug)]
pub struct CpuCapture {
    /// A child of `fork` leaves all of its parent's capture alone: the timers there have numbers that its own may have.
    running: ManuallyDrop<Running>,
    forks: u32,
}

/// A capture that is under way. Timers go before the machine does.
struct Running {
    timers: Timers,
    of_process: Option<Timer>,
    machine: Active,
    _turn: Turn,
    interned: Interned,
    times: Option<Times>,
    own: OwnTimes,
    next_maps: Instant,
    started: Instant,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("timers", &self.timers.by_thread.len()).finish_non_exhaustive()
    }
}

impl CpuCapture {
    /// Begins to sample each thread `hz` times (1 to 1000) in each second of its CPU time, also threads that begin later.
    ///
    /// Cost: 10 µs for each thread, and the first time, that of preparing the unwinder.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(hz: u32) -> Result<CpuCapture, StartError> {
        CpuCapture::start_with(hz, None)
    }

    /// As [`start`](Self::start), but what is found has the time of each sample too.
    ///
    /// Cost: a system call for each sample, and 32 bytes.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start_timed(hz: u32) -> Result<CpuCapture, StartError> {
        CpuCapture::start_with(hz, Some(Times::default()))
    }

    fn start_with(hz: u32, times: Option<Times>) -> Result<CpuCapture, StartError> {
        let refused = |what| move |source| StartError::Refused { what, source };
        let turn = Turn::take(Purpose::Cpu)?;
        unwinder::prepare();
        if !unwinder::is_ready() {
            return Err(StartError::NotOnThisPlatform);
        }
        fork::prepare();
        let signal = signals::take(Purpose::Cpu)?;
        let period = Duration::from_secs(1) / hz.clamp(1, MAX_HZ);
        let machine = Machine::map(Purpose::Cpu).map_err(refused("memory for samples"))?;
        machine.is_timed.store(times.is_some(), Relaxed);
        let mut timers = Timers::new(signal, period);
        let of_process = timers.of_process().map_err(refused("a timer"))?;
        let now = Instant::now();
        let mut running = Running {
            timers,
            of_process: Some(of_process),
            machine,
            _turn: turn,
            interned: Interned::default(),
            times,
            own: OwnTimes::default(),
            next_maps: now,
            started: now,
        };
        running.meet_threads().map_err(refused("the list of threads in /proc/self/task"))?;
        Ok(CpuCapture { running: ManuallyDrop::new(running), forks: forks::count() })
    }

    /// Takes over what was sampled, and gives timers to new threads. It is to be called every
    /// [`LOOK_EVERY`](crate::LOOK_EVERY).
    ///
    /// Cost: it takes a microsecond for each thread and each sample. Where threads have begun since, the process's
    /// mappings are listed too, but in no more than a two-hundredth of the time.
    pub fn look(&mut self) {
        // Without the list, new threads are sampled by the process's timer.
        let _ = self.running.meet_threads();
        self.running.drain();
    }

    /// Yields the frames of each stack that was sampled so far, outermost first, and whether outer ones were left out: so their
    /// names can be looked up before the capture ends.
    pub fn stacks(&self) -> impl Iterator<Item = (&[CodeAddress], bool)> + Clone {
        self.running.interned.frames()
    }

    /// Ends the capture.
    #[must_use]
    pub fn finish(mut self) -> CpuSamples {
        self.running.finish()
    }
}

impl Drop for CpuCapture {
    fn drop(&mut self) {
        if self.forks == forks::count() {
            // SAFETY: it is dropped here alone, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.running) };
        }
    }
}

impl Running {
    /// Gives timers to threads that have begun, and takes them from those that have ended.
    fn meet_threads(&mut self) -> io::Result<()> {
        let alive = threads::list()?;
        let own = own_threads::all();
        self.own.look(&own);
        // mutant: E13 the profiler's own threads are sampled
        own.iter().for_each(|&thread_id| {
            self.machine.known_threads.add(thread_id);
        });
        let is_new = |&thread_id: &u32| !self.timers.has(thread_id) && !own.contains(&thread_id);
        let new: Vec<u32> = alive.iter().copied().filter(is_new).collect();
        // mutant: E8 timers of threads that have ended are kept
        self.timers.keep(&alive.into_iter().collect());
        // The handler believes what is said of the stacks of threads that have a timer: so this is the first.
        if !new.is_empty() && !self.list_stacks() {
            return Ok(());
        }
        for &thread_id in &new {
            self.timers.start(thread_id, &self.machine.known_threads);
        }
        // Threads that were there at the start are asked for their names when they are sampled. Later ones may end before.
        if self.started.elapsed() >= LOOK_EVERY / 2 {
            new.into_iter().for_each(|thread_id| self.interned.note_name(thread_id));
        }
        Ok(())
    }

    /// Lists where stacks end. False: that takes too long to do it again so soon.
    fn list_stacks(&mut self) -> bool {
        let start = Instant::now();
        if start < self.next_maps {
            return false;
        }
        // Without the list, pages are tried out.
        let (main, others) = maps::stacks().unwrap_or_default();
        self.machine.stack_ends.set(main, &others);
        let end = Instant::now();
        self.next_maps = end + (end - start) * MAPS_SHARE;
        true
    }

    fn drain(&mut self) {
        self.machine.ring.drain(|sample| {
            let stack = self.interned.add(&sample);
            if let (Some(times), Some(stack)) = (&mut self.times, stack) {
                times.add(sample.header, stack);
            }
        });
    }

    fn finish(&mut self) -> CpuSamples {
        let timed_threads = self.timers.timed_threads;
        self.timers.by_thread.clear();
        self.of_process = None;
        self.machine.quiesce();
        self.drain();
        self.own.look(&own_threads::all());
        let interned = std::mem::take(&mut self.interned);
        let Times { samples: timed, untold_periods } = self.times.take().unwrap_or_default();
        CpuSamples {
            taken_at: SystemTime::now(),
            duration: self.started.elapsed(),
            period: self.timers.period,
            lost_periods: self.machine.ring.lost_periods(),
            overflow_periods: interned.overflow_periods,
            leaf_only: self.machine.ring.leaf_only(),
            timed_threads,
            untimed_threads: self.timers.refused.len(),
            own_time: self.own.sum(),
            timed,
            untold_periods,
            stacks: interned.into_stacks(),
        }
    }
}

/// When samples were taken.
#[derive(Default)]
struct Times {
    samples: Vec<TimedSample>,
    untold_periods: u64,
}

impl Times {
    fn add(&mut self, header: &Header, stack: usize) {
        let Header { at, periods, .. } = *header;
        if self.samples.len() < MAX_TIMES {
            self.samples.push(TimedSample { at: Duration::from_nanos(at), stack, periods });
        } else {
            self.untold_periods += periods;
        }
    }
}

/// Keeps the timers of threads.
struct Timers {
    signal: libc::c_int,
    senders: Senders,
    period: Duration,
    generator: SmallRng,
    by_thread: HashMap<u32, Timer>,
    /// Threads that have had a timer.
    timed_threads: usize,
    /// Threads that could not have one.
    refused: HashSet<u32>,
}

impl Timers {
    fn new(signal: libc::c_int, period: Duration) -> Timers {
        Timers {
            signal,
            senders: Senders::draw(Purpose::Cpu),
            period,
            generator: SmallRng::seed_from_u64(RandomState::new().hash_one(period)),
            by_thread: HashMap::new(),
            timed_threads: 0,
            refused: HashSet::new(),
        }
    }

    /// The timer that threads are sampled by which have none: those that were not met yet, and those that could have none.
    fn of_process(&mut self) -> io::Result<Timer> {
        let first = self.first();
        Timer::start(self.signal, self.senders.of_process(), first, self.period)
    }

    /// When a timer fires first: at any time in the first period, so that threads that live shortly are neither favoured nor
    /// missed.
    fn first(&mut self) -> Duration {
        self.period.mul_f64(1.0 - self.generator.random::<f64>())
    }

    fn has(&self, thread_id: u32) -> bool {
        self.by_thread.contains_key(&thread_id)
    }

    /// Gives the thread a timer, and makes it known, so that it is not sampled by the process's timer too. A thread that
    /// can have none is sampled by that alone.
    fn start(&mut self, thread_id: u32, known_threads: &KnownThreads) {
        let first = self.first();
        let sender = self.senders.of_thread(thread_id);
        let has_room = self.by_thread.len() < MAX_TIMERS;
        let timer = has_room.then(|| Timer::start(self.signal, sender, first, self.period));
        match timer {
            Some(Ok(timer)) if known_threads.add(thread_id) => {
                self.by_thread.insert(thread_id, timer);
                self.timed_threads += 1;
                self.refused.remove(&thread_id);
            }
            // The thread has ended.
            Some(Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => {}
            _ => {
                self.refused.insert(thread_id);
            }
        }
    }

    /// Deletes the timers of threads that are not among these: they take room of a limit.
    fn keep(&mut self, alive: &HashSet<u32>) {
        self.by_thread.retain(|thread_id, _| alive.contains(thread_id));
    }
}

/// The CPU time that threads use which are left out, by thread: at the first look, and at the last.
#[derive(Default)]
struct OwnTimes(HashMap<u32, [Duration; 2]>);

impl OwnTimes {
    fn look(&mut self, threads: &[u32]) {
        for &thread_id in threads {
            if let Some(used) = used_time(thread_id) {
                self.0.entry(thread_id).or_insert([used; 2])[1] = used;
            }
        }
    }

    fn sum(&self) -> Duration {
        self.0.values().map(|[first, last]| last.saturating_sub(*first)).sum()
    }
}
