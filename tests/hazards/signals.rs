//! A10: handlers of signals allocate while their thread is anywhere, also in the allocator.
//!
//! The system's allocator cannot take that, so the profiler stands around an allocator of these tests' own.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::c_int;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};
use std::{ptr, thread};

use alloc_profiler::{SamplingAllocator, set_sampling_interval, snapshot};

use crate::errno::{errno, set_errno};
use crate::harness::{assert_consistent, isolated, pick};

const SLOTS: usize = 1 << 12;
const SLOT_BYTES: usize = 256;

/// Slots that are taken and left by one atomic operation, which no handler can come between.
#[repr(align(4096))]
struct Slots {
    memory: std::cell::UnsafeCell<[[u8; SLOT_BYTES]; SLOTS]>,
    is_taken: [AtomicBool; SLOTS],
    next: AtomicUsize,
}

// SAFETY: a slot belongs to whoever took it.
unsafe impl Sync for Slots {}

// SAFETY: a slot is handed out to one at a time, and all are alike in size and alignment.
unsafe impl GlobalAlloc for Slots {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        assert!(layout.size() <= SLOT_BYTES && layout.align() <= SLOT_BYTES);
        for _ in 0..SLOTS {
            let n = self.next.fetch_add(1, Relaxed) % SLOTS;
            if !self.is_taken[n].swap(true, Acquire) {
                return self.memory.get().cast::<u8>().wrapping_add(n * SLOT_BYTES);
            }
        }
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
        let n = (ptr.addr() - self.memory.get().addr()) / SLOT_BYTES;
        self.is_taken[n].store(false, Release);
    }
}

static SLOTTED: SamplingAllocator<Slots> = SamplingAllocator::with_allocator(Slots {
    memory: std::cell::UnsafeCell::new([[0; SLOT_BYTES]; SLOTS]),
    is_taken: [const { AtomicBool::new(false) }; SLOTS],
    next: AtomicUsize::new(0),
});

/// A thread gets at least so many signals for each second that it runs.
const SIGNALS_PER_SECOND: u64 = 5000;
/// A thread has so much time between two signals. It is a quarter of what that rate leaves it, for handlers take time,
/// and machines stop.
const NANOS_BETWEEN_SIGNALS: i64 = 50_000;

thread_local! {
    // They have no `Drop` and are there from the start, so that a handler may use them.
    static HANDLED: AtomicU64 = const { AtomicU64::new(0) };
    static TIMER: Cell<libc::timer_t> = const { Cell::new(ptr::null_mut()) };
}

/// Touches the memory of all slots, so that whoever is interrupted there waits for none of it.
pub(crate) fn touch_all_slots() {
    (0..SLOTS).for_each(|_| allocate_and_free(1));
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 16).expect("valid")
}

/// Allocates a block that is not empty, and returns its address.
pub(crate) fn allocate(bytes: usize) -> usize {
    // SAFETY: the layout is not empty, and the block is as large as it says.
    unsafe {
        let block = SLOTTED.alloc(layout(bytes));
        assert!(!block.is_null());
        block.write_bytes(7, bytes);
        black_box(block).expose_provenance()
    }
}

/// Frees what `allocate` returned, whatever its size was: slots are alike.
pub(crate) fn free(address: usize) {
    // SAFETY: the allocator does not look at the layout, and the block is not used any more.
    unsafe { SLOTTED.dealloc(ptr::with_exposed_provenance_mut(address), layout(1)) };
}

pub(crate) fn allocate_and_free(bytes: usize) {
    free(allocate(bytes));
}

extern "C" fn handle(_signal: c_int) {
    set_errno(99);
    allocate_and_free(200);
    // An allocation keeps `errno` for the handler. What the handler leaves in it, only an interrupted allocation
    // restores.
    assert_eq!(errno(), 99);
    set_errno(55);
    HANDLED.with(|handled| handled.fetch_add(1, Relaxed));
    start_timer();
}

/// Sets the timer for one signal.
fn start_timer() {
    let nanos = |tv_nsec| libc::timespec { tv_sec: 0, tv_nsec };
    let times = libc::itimerspec { it_interval: nanos(0), it_value: nanos(NANOS_BETWEEN_SIGNALS) };
    // SAFETY: the timer is this thread's own, and a handler may set it.
    assert_eq!(unsafe { libc::timer_settime(TIMER.get(), 0, &raw const times, ptr::null_mut()) }, 0);
}

/// Interrupts this thread again and again, for ever.
fn interrupt(flags: c_int) {
    // SAFETY: the structures are plain ones, zero where they are not set. The handler does what a handler may, with the
    // allocator that it has.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = flags | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()), 0);
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGUSR1;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer: libc::timer_t = ptr::null_mut();
        assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
        TIMER.set(timer);
    }
    start_timer();
}

/// Returns how long this thread has run.
fn time_on_processor() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills `time` in.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Allocates until the time is over and it was interrupted often enough for that time. Returns how many blocks there
/// were.
fn allocate_interrupted() -> u64 {
    let seconds = pick(2, 30);
    let all_handled = || HANDLED.with(|handled| handled.load(Relaxed));
    let (start, handled_before, run_before) = (Instant::now(), all_handled(), time_on_processor());
    let handled = || all_handled() - handled_before;
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) || handled() < seconds * SIGNALS_PER_SECOND {
        let round = Instant::now();
        for n in 0..1000 {
            allocate_and_free(n % 128 + 1);
        }
        count += 1000;
        slowest = slowest.max(round.elapsed());
    }
    let (handled, run, elapsed) = (handled(), time_on_processor() - run_before, start.elapsed());
    let rate = handled as f64 / run.as_secs_f64();
    println!(
        "{count} blocks, {handled} signals in {elapsed:.1?}, {rate:.0} for each second of {run:.1?} that it ran, \
         slowest thousand {slowest:?}"
    );
    assert!(rate > SIGNALS_PER_SECOND as f64, "only {rate:.0} signals a second");
    assert!(slowest < Duration::from_secs(2), "stalled for {slowest:?}");
    count
}

/// Profiles `load`, which allocates as many blocks as it returns.
fn profiled(load: impl FnOnce() -> u64) {
    set_sampling_interval(1);
    let before = snapshot();
    let count = load();
    let after = snapshot();
    assert_consistent(&after);
    let growth = after.since(&before);
    let slots = growth.stacks.iter().flat_map(|stack| &stack.by_size);
    let left: f64 = slots.filter(|size| size.size_class == 224).map(|size| size.totals.inuse_objects).sum();
    assert_eq!(left, 0.0, "what handlers allocated is all freed");
    assert!(growth.totals().alloc_objects >= count as f64);
}

#[test]
fn handlers_may_allocate() {
    isolated(1, || {
        interrupt(0);
        profiled(allocate_interrupted);
    });
}

/// A thread is interrupted while it holds a lock that the other wants.
#[test]
fn handlers_may_allocate_while_others_do() {
    isolated(1, || {
        profiled(|| {
            let interrupted = || {
                interrupt(0);
                allocate_interrupted()
            };
            thread::scope(|scope| {
                let other = scope.spawn(interrupted);
                interrupted() + other.join().expect("no panic")
            })
        });
    });
}

/// Handlers run on a stack of their own that hardly has room for them: what lies below it is not touched.
#[test]
fn handlers_may_allocate_on_a_small_stack_of_their_own() {
    const BYTES: usize = if cfg!(debug_assertions) { 16 << 10 } else { 8 << 10 };
    const PAINT: u8 = 0x5A;
    isolated(1, || {
        let below_and_stack = vec![PAINT; 64 << 10].leak();
        let (below, stack) = below_and_stack.split_at_mut((64 << 10) - BYTES);
        let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
        // SAFETY: the stack is there for ever.
        assert_eq!(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) }, 0);
        interrupt(libc::SA_ONSTACK);
        profiled(allocate_interrupted);
        let below = below.as_ptr();
        // SAFETY: the byte is within the slice; handlers may have written there.
        let touched = (0..(64 << 10) - BYTES).find(|&n| unsafe { below.add(n).read_volatile() } != PAINT);
        assert_eq!(touched, None, "the handler's stack overflowed");
        assert!(snapshot().dropped.low_stack > 0);
    });
}

/// `errno` as the interrupted code finds it is the handler's business. How an allocation leaves it is ours.
#[test]
fn errno_stays_when_nothing_interrupts() {
    isolated(1, || {
        set_sampling_interval(1);
        for n in 0..10_000 {
            set_errno(n);
            allocate_and_free(100);
            assert_eq!(errno(), n);
        }
    });
}
