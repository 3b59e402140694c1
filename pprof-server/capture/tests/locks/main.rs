//! Waits for locks, held against the time that was really waited.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;
mod current;
mod primitives;
mod words;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use capture::{
    LockEvent, LockEventKind, LockEvents, LockSamples, LockStack, LockTrace, lock_samples, monotonic_time,
    sees_locks, set_block_rate,
};
use common::is_of;
use primitives::waits_here;

capture::define_syscall!();

const HELD: Duration = Duration::from_millis(20);

/// What is measured is the process's, so tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(sees_locks());
    turn
}

/// Runs `work` while every wait is sampled, and returns what there was before and after.
fn measured(work: impl FnOnce()) -> [LockSamples; 2] {
    set_block_rate(Some(Duration::from_nanos(1))).unwrap();
    let before = lock_samples();
    work();
    set_block_rate(None).unwrap();
    [before, lock_samples()]
}

/// The contentions and the time on stacks that have a frame in the function of this name.
fn on_stacks_of(stacks: &[LockStack], function: &str, names: &mut HashMap<usize, bool>) -> (f64, Duration) {
    let mut is_in = |address: usize| *names.entry(address).or_insert_with(|| is_of(address, function));
    let of_function = stacks.iter().filter(|stack| stack.frames.iter().any(|frame| is_in(frame.lookup())));
    of_function.fold((0.0, Duration::ZERO), |(count, time), stack| {
        (count + stack.sums.contentions, time + Duration::from_nanos(stack.sums.nanoseconds as u64))
    })
}

/// What came in between.
fn change(
    samples: &[LockSamples; 2],
    which: fn(&LockSamples) -> &[LockStack],
    function: &str,
) -> (f64, Duration) {
    let mut names = HashMap::new();
    let [before, after] = [0, 1].map(|index| on_stacks_of(which(&samples[index]), function, &mut names));
    (after.0 - before.0, after.1.saturating_sub(before.1))
}

fn block(samples: &LockSamples) -> &[LockStack] {
    &samples.block
}

fn mutex(samples: &LockSamples) -> &[LockStack] {
    &samples.mutex
}

fn thread_id() -> i32 {
    // SAFETY: it asks for a number.
    unsafe { libc::gettid() }
}

/// Returns once the thread sleeps whose number will be in `thread`.
fn await_sleep(thread: &AtomicI32) {
    common::within_reason(|| {
        let id = thread.load(Relaxed);
        let text = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
        let (_, state) = text.rsplit_once(") ")?;
        (id != 0 && state.starts_with('S')).then_some(())
    });
}

#[inline(never)]
fn wakes_here(wake: impl FnOnce()) {
    wake();
    std::hint::black_box(());
}

/// A trace has each wait and each wake with its time, its thread and its stack.
#[test]
fn a_trace_tells_when_somebody_waited() {
    let _turn = turn();
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let trace = LockTrace::start().unwrap();
    let waiting = AtomicI32::new(0);
    let (mut taken, mut woken) = (None, Duration::ZERO);
    let start = monotonic_time();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            waiting.store(thread_id(), Relaxed);
            waits_here(|| drop(lock.lock()))
        });
        await_sleep(&waiting);
        thread::sleep(HELD);
        woken = monotonic_time();
        wakes_here(|| drop(guard));
        taken = Some(waiter.join().unwrap());
    });
    let end = monotonic_time();
    let LockEvents { events, stacks, lost, .. } = trace.finish();
    assert_eq!(lost, 0);
    let mut names = HashMap::new();
    let mut event = |kind, thread: i32, function| {
        let is_on_it =
            |stack: usize, names: &mut _| on_stacks_of(&stacks[stack..=stack], function, names).0 > 0.0;
        let found: Vec<&LockEvent> = events
            .iter()
            .filter(|event| event.kind == kind && event.thread_id == thread as u32)
            .filter(|event| event.stack.is_some_and(|stack| is_on_it(stack, &mut names)))
            .collect();
        assert_eq!(found.len(), 1, "{kind:?}: {events:?}");
        *found[0]
    };
    let waited = event(LockEventKind::Waited, waiting.load(Relaxed), "waits_here");
    let whole = taken.unwrap().whole;
    assert!(waited.waited > HELD / 2 && waited.waited <= whole, "{waited:?} of {whole:?}");
    assert!(waited.at >= woken && waited.at <= end && waited.at - waited.waited >= start, "{waited:?}");
    let woke = event(LockEventKind::Woke, thread_id(), "wakes_here");
    assert!(woke.at >= woken && woke.at <= end, "{woke:?}");
    assert!(woke.waited > HELD / 2 && woke.waited <= whole, "{woke:?}");
    // Nothing is kept when it is over, and the next one begins anew.
    assert!(LockTrace::start().unwrap().finish().events.is_empty());
}

/// A lock that is held for 10 ms makes 100 threads wait for a second together, and that is charged to the one who held it, and not
/// to those who held it for a moment after that.
#[test]
fn who_held_a_lock_pays_for_all_who_waited() {
    let _turn = turn();
    const WAITERS: u32 = 100;
    let lock = Mutex::new(());
    let waiting = [const { AtomicI32::new(0) }; WAITERS as usize];
    let mut held = [Duration::ZERO; 2];
    let samples = measured(|| {
        thread::scope(|scope| {
            let guard = lock.lock().unwrap();
            let begun = Instant::now();
            for thread in &waiting {
                scope.spawn(|| {
                    thread.store(thread_id(), Relaxed);
                    drop(lock.lock());
                });
            }
            waiting.iter().for_each(await_sleep);
            let start = Instant::now();
            thread::sleep(10 * HELD);
            held[0] = start.elapsed();
            wakes_here(|| drop(guard));
            held[1] = begun.elapsed();
        });
    });
    let (count, told) = change(&samples, mutex, "wakes_here");
    assert_eq!(count, 1.0);
    assert!(told >= held[0] * WAITERS * 95 / 100, "{told:?} of {:?}", held[0] * WAITERS);
    assert!(told <= held[1] * WAITERS, "{told:?} of {:?}", held[1] * WAITERS);
}

/// A wait that a signal ends, or a timeout, has the answer and the `errno` that it has without us, and others are untouched.
#[test]
fn calls_answer_as_without_a_profiler() {
    let _turn = turn();
    let futex = |word: &AtomicU32, operation: i32, value: u32, timeout: Option<Duration>| {
        let timeout =
            timeout.map(|timeout| libc::timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the word and the timeout are there as long as the call takes.
        let answer =
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout, 0, u32::MAX) };
        (answer, std::io::Error::last_os_error().raw_os_error())
    };
    let word = AtomicU32::new(5);
    let ask = || {
        let short = Some(Duration::from_millis(1));
        [
            futex(&word, libc::FUTEX_WAIT, 6, None),
            futex(&word, libc::FUTEX_WAIT, 5, short),
            futex(&word, libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG, 5, Some(Duration::ZERO)),
            futex(&word, 77, 5, None),
        ]
        .map(|(answer, errno)| (answer, if answer < 0 { errno } else { None }))
    };
    let off = ask();
    let mut on = off;
    measured(|| on = ask());
    let expected =
        [libc::EAGAIN, libc::ETIMEDOUT, libc::ETIMEDOUT, libc::ENOSYS].map(|errno| (-1, Some(errno)));
    assert_eq!((off, on), (expected, expected));
    // A system call of six arguments, the last of which is on the stack, and one that fails.
    // SAFETY: a mapping of our own, at a place that the kernel chooses; and a descriptor that nobody has.
    unsafe {
        let (kind, length) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 4096_usize);
        let start = libc::syscall(libc::SYS_mmap, 0_usize, length, libc::PROT_READ, kind, -1_i64, 0_usize);
        assert!(start > 0);
        assert_eq!(libc::syscall(libc::SYS_munmap, start, length), 0);
        assert_eq!(libc::syscall(libc::SYS_close, -1), -1);
    }
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
}

/// Threads of the profiler's own are in no profile, whatever they wait for.
#[test]
fn waits_of_the_profiler_are_left_out() {
    let _turn = turn();
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let samples = measured(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let _own = capture::leave_out();
                waits_here(|| drop(lock.lock()))
            });
            thread::sleep(HELD);
            drop(guard);
        });
    });
    assert_eq!(change(&samples, block, "waits_here").0, 0.0);
}

#[test]
fn nothing_is_noted_while_it_is_off() {
    let _turn = turn();
    let before = lock_samples();
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| waits_here(|| drop(lock.lock())));
        thread::sleep(HELD);
        drop(guard);
    });
    let samples = [before, lock_samples()];
    assert_eq!(change(&samples, block, "waits_here").0, 0.0);
}

/// A child of `fork` begins without waits, and may measure its own, also if its parent's other threads wait at that moment.
#[test]
fn children_of_fork_begin_anew() {
    let _turn = turn();
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().unwrap();
    let waits = lock.clone();
    let waiter = thread::spawn(move || waits_here(|| drop(waits.lock())));
    let samples = measured(|| {
        thread::sleep(HELD);
        // SAFETY: the child calls nothing that waits for another thread, and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_new = lock_samples().block.is_empty() && capture::block_rate().is_none();
            let can_begin = set_block_rate(Some(Duration::from_nanos(1))).is_ok();
            // SAFETY: it ends the child.
            unsafe { libc::_exit(if is_new && can_begin { 7 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: it waits for the child of this process.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 7);
        drop(guard);
        waiter.join().unwrap();
    });
    assert!(!samples[1].mutex.is_empty());
}
