//! What a capture must not do to the program that it is in.
#![cfg(by_signals)]

mod common;

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use capture::{CpuCapture, CpuSamples, LOOK_EVERY, StartError, leave_out};
use common::{Ends, Looking, burn, periods_in, turn};

/// The signals that a capture may take.
const CANDIDATES: [libc::c_int; 4] = [libc::SIGPROF, libc::SIGVTALRM, libc::SIGSTKFLT, libc::SIGPWR];

#[inline(never)]
fn burn_here(time: Duration) {
    burn(time);
    black_box(());
}

fn action_of(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: this only asks.
    unsafe {
        let mut action = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, std::ptr::null(), &mut action), 0);
        action
    }
}

fn handler_of(signal: libc::c_int) -> libc::sighandler_t {
    action_of(signal).sa_sigaction
}

fn set_action(signal: libc::c_int, action: &libc::sigaction) {
    // SAFETY: it is one that was there before, or the handler below.
    assert_eq!(unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) }, 0);
}

/// Has a signal counted.
fn count_signal(signal: libc::c_int) {
    // SAFETY: an action is integers.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    set_action(signal, &action);
}

fn raise(signal: libc::c_int) {
    // SAFETY: the signal is handled.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

#[test]
fn signals_that_come_late_end_nothing() {
    let _turn = turn();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    burn(Duration::from_millis(1));
                }
            });
        }
        let _ends = Ends(&is_over, None);
        for _ in 0..200 {
            let mut capture = CpuCapture::start(1000).unwrap();
            capture.look();
        }
    });
    let handled: Vec<_> =
        CANDIDATES.into_iter().filter(|&signal| handler_of(signal) > libc::SIG_IGN).collect();
    assert!(!handled.is_empty(), "the handler stays");
    for signal in handled {
        (0..1000).for_each(|_| raise(signal));
    }
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Relaxed);
}

#[test]
fn the_program_s_handler_gets_its_own_signals_and_no_others() {
    let turn = turn();
    let before = action_of(libc::SIGPROF);
    count_signal(libc::SIGPROF);
    let looking = Looking::start_in(turn, 1000).unwrap();
    let used = thread::spawn(|| {
        for _ in 0..100 {
            raise(libc::SIGPROF);
            // On a busy machine, it is a while until a thread that has begun is noticed.
            burn_here(Duration::from_millis(3));
        }
    });
    used.join().unwrap();
    let (samples, _turn) = looking.finish_in();
    assert_eq!(SIGNALS.load(Relaxed), 100);
    assert!(periods_in(&samples, "burn_here") > 150);
    assert_eq!(handler_of(libc::SIGPROF), count as *const () as usize, "it stays");
    set_action(libc::SIGPROF, &before);
}

#[test]
fn where_the_program_handles_all_signals_no_capture_begins() {
    let _turn = turn();
    let before = CANDIDATES.map(action_of);
    CANDIDATES.into_iter().for_each(count_signal);
    let error = CpuCapture::start(100).unwrap_err();
    assert!(matches!(error, StartError::NoSignal), "{error}");
    assert!(error.to_string().contains("SIGSTKFLT"));
    CANDIDATES.into_iter().zip(&before).for_each(|(signal, before)| set_action(signal, before));
}

#[test]
fn there_is_one_capture_at_a_time() {
    let _turn = turn();
    let capture = CpuCapture::start(100).unwrap();
    let error = CpuCapture::start(100).unwrap_err();
    assert!(matches!(error, StartError::InUse));
    assert_eq!(error.to_string(), "cpu profiling already in use");
    drop(capture);
    drop(CpuCapture::start(100).unwrap());
}

#[test]
fn threads_of_the_profiler_are_left_out_and_counted() {
    // What a thread does before it is left out is the program's.
    let both = Arc::new(Barrier::new(2));
    let with_test = both.clone();
    let own = thread::Builder::new().name("own".into());
    let own = own.spawn(move || {
        let _own = leave_out();
        with_test.wait();
        // The capture begins.
        with_test.wait();
        burn_here(Duration::from_millis(200));
        with_test.wait();
        // The capture ends.
        with_test.wait();
    });
    let own = own.unwrap();
    both.wait();
    let looking = Looking::start(1000);
    both.wait();
    both.wait();
    let samples = looking.finish();
    both.wait();
    own.join().unwrap();
    let is_own = |stack: &&capture::Stack| &*stack.thread == "own";
    assert_eq!(samples.stacks.iter().filter(is_own).count(), 0, "{samples:?}");
    let own_time = samples.own_time;
    assert!(own_time > Duration::from_millis(190) && own_time < Duration::from_secs(2), "{own_time:?}");
}

/// A child that captures by itself, and a parent that goes on. The copy of the page tables takes longer than a period.
#[test]
fn a_process_may_fork_while_it_is_sampled() {
    const BYTES: usize = 768 << 20;
    let memory = vec![1_u8; BYTES];
    // Where `fork` begins again and again, nothing else ends this.
    // SAFETY: it sets the process's alarm, which nobody else uses.
    unsafe { libc::alarm(120) };
    let looking = Looking::start(1000);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let burner = thread::spawn(move || {
        while !over.load(Relaxed) {
            burn_here(Duration::from_millis(1));
        }
    });
    for _ in 0..5 {
        // SAFETY: the child ends without returning to the test.
        match unsafe { libc::fork() } {
            0 => {
                let is_right = std::panic::catch_unwind(|| {
                    let mut capture =
                        CpuCapture::start(1000).expect("the parent's capture is not the child's");
                    burn_here(Duration::from_millis(100));
                    capture.look();
                    // Names are not looked up here: a thread of the parent's may have held a lock for that.
                    let periods: u64 = capture.finish().stacks.iter().map(|stack| stack.periods).sum();
                    assert!(periods > 50, "{periods}");
                });
                if let Err(panic) = &is_right {
                    // What a test prints by a macro is kept in memory, which ends with the child.
                    let _ = writeln!(io::stderr(), "{:?}", panic.downcast_ref::<String>());
                }
                // SAFETY: it ends the child at once.
                unsafe { libc::_exit(if is_right.is_ok() { 42 } else { 1 }) }
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                // SAFETY: it waits for the child, and fills in how it ended.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 42), "{status:#x}");
            }
        }
    }
    // SAFETY: this takes the process's alarm back, which nobody else uses.
    unsafe { libc::alarm(0) };
    is_over.store(true, Relaxed);
    burner.join().unwrap();
    assert_eq!(black_box(&memory)[BYTES - 1], 1);
    let samples = looking.finish();
    assert!(periods_in(&samples, "burn_here") > 10);
}

/// Returns the stack pointer, more or less.
#[inline(always)]
fn here() -> usize {
    let here = black_box(0_u8);
    (&raw const here).addr()
}

#[inline(never)]
fn go_deep(limit: usize, rounds: u64) -> u64 {
    let room = black_box([0_u8; 128]);
    if here() > limit {
        return go_deep(limit, rounds) + u64::from(room[0]);
    }
    let mut sum = 0_u64;
    while sum < rounds {
        sum = black_box(sum) + 1;
    }
    black_box(&room);
    sum
}

/// Threads of the standard library have a stack for signals, so little may be left of their own.
#[test]
fn a_thread_may_be_at_the_end_of_its_stack() {
    // On a busy machine, it is a while until a thread that has begun is noticed.
    const ROUNDS: u64 = 150_000_000;
    let looking = Looking::start(1000);
    for _ in 0..4 {
        let thread = thread::Builder::new().name("deep".into()).stack_size(16 << 10);
        let thread = thread.spawn(|| {
            let mut low = std::ptr::null_mut();
            // SAFETY: it asks where this thread's stack is.
            unsafe {
                let mut attributes = std::mem::zeroed();
                let mut bytes = 0;
                assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &mut attributes), 0);
                assert_eq!(libc::pthread_attr_getstack(&attributes, &mut low, &mut bytes), 0);
            }
            go_deep(low.addr() + 1024, ROUNDS)
        });
        assert!(thread.unwrap().join().unwrap() >= ROUNDS);
    }
    let samples = looking.finish();
    assert!(periods_in(&samples, "go_deep") > 100, "{samples:?}");
}

/// The timers and pending signals that this user's processes have now.
fn timers_of_user() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let queued = status.lines().find_map(|line| line.strip_prefix("SigQ:\t")).unwrap();
    queued.split('/').next().unwrap().parse().unwrap()
}

/// Samples for 600 ms where the user's processes may have this many timers in all.
fn samples_within(timers: u64) -> Result<CpuSamples, StartError> {
    let set = |limit: &libc::rlimit| {
        // SAFETY: it sets a limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, limit) }, 0);
    };
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it fills in the limit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_SIGPENDING, &mut before) }, 0);
    set(&libc::rlimit { rlim_cur: timers, ..before });
    let samples = CpuCapture::start(1000).map(|mut capture| {
        for _ in 0..6 {
            thread::sleep(LOOK_EVERY);
            capture.look();
        }
        capture.finish()
    });
    set(&before);
    samples
}

/// A limit on pending signals is one on timers. Threads that can have none are sampled by the process's timer.
///
/// All processes of the user share the limit. Where others begin or end captures just then, this one may have no timer, or one for
/// each thread; then it is begun again.
#[test]
fn threads_without_timers_are_sampled_all_the_same() {
    let _turn = turn();
    let is_over = AtomicBool::new(false);
    let samples = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    burn_here(Duration::from_millis(1));
                }
            });
        }
        let _ends = Ends(&is_over, None);
        let _own = leave_out();
        let start = Instant::now();
        loop {
            match samples_within(timers_of_user() + 2) {
                Ok(samples) if samples.timed_threads > 0 && samples.untimed_threads > 0 => return samples,
                Ok(_) => {}
                Err(error) => {
                    assert!(error.to_string().starts_with("the system refuses a timer: "), "{error}");
                    thread::sleep(LOOK_EVERY);
                }
            }
            assert!(start.elapsed() < Duration::from_secs(100), "no two timers were left to this capture");
        }
    });
    assert!(periods_in(&samples, "burn_here") > 10, "{samples:?}");
}

/// Threads begin and end all the time, and are listed, timed and deleted meanwhile.
#[test]
fn threads_come_and_go() {
    let looking = Looking::start(1000);
    let ended = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    thread::spawn(|| burn_here(Duration::from_micros(300))).join().unwrap();
                    ended.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let samples = looking.finish();
    assert_eq!(ended.load(Relaxed), 1000);
    assert!(periods_in(&samples, "burn_here") > 100, "{samples:?}");
}

/// Timers take room of a limit of the user's, so those of threads that have ended are deleted while a capture goes on.
#[test]
fn timers_end_with_their_threads() {
    const THREADS: usize = 60;
    let looking = Looking::start(100);
    let until = |is_there: &dyn Fn(usize) -> bool| {
        let start = Instant::now();
        loop {
            let timers = std::fs::read_to_string("/proc/self/timers").unwrap();
            let timers = timers.lines().filter(|line| line.starts_with("ID: ")).count();
            if is_there(timers) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "there are {timers} timers");
            thread::sleep(Duration::from_millis(20));
        }
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let _ends = Ends(&is_over, None);
        // One of them is the process's.
        until(&|timers| timers > THREADS);
    });
    // The other threads of this program are tests that wait for their turn.
    until(&|timers| timers < THREADS);
    assert!(looking.finish().timed_threads >= THREADS);
}
