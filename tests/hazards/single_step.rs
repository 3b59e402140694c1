//! D15: handlers of signals run at every single instruction of ours, also between two that belong together.
//!
//! The processor can be told to stop after each instruction (by the trap flag). A handler is then called, which does
//! what handlers of programs may do. So no window is too small to be met.

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};
use std::{mem, ptr};

use alloc_profiler::{Snapshot, Totals, set_sampling_interval, snapshot, testing, unsampled};

use crate::harness::{assert_consistent, isolated};
use crate::signals::{allocate, allocate_and_free, free, touch_all_slots};

const TRAP_FLAG: i64 = 0x100;
/// The blocks that are looked at afterwards are of this size.
const BYTES: usize = 96;
/// The code that is interrupted allocates blocks of this size.
const INTERRUPTED_BYTES: usize = 240;
/// Handlers allocate blocks of this size.
const HANDLERS_BYTES: usize = 16;

/// The number of instructions after which the handler was called.
static STEPS: AtomicU64 = AtomicU64::new(0);
/// The first of the instructions after which the handler acts; the next static has the last.
static FIRST_STEP: AtomicU64 = AtomicU64::new(0);
static LAST_STEP: AtomicU64 = AtomicU64::new(0);
/// These are all instructions of a short work. Of a long one they are more than it takes to come to what others can
/// see.
const EACH: RangeInclusive<u64> = 1..=4000;
const NONE: RangeInclusive<u64> = 0..=0;
/// Counts how often the handler acted.
static ACTS: AtomicU64 = AtomicU64::new(0);
/// What the handler does then, an [`Act`].
static ACT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

type Act = fn();

extern "C" fn trap(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let step = STEPS.fetch_add(1, Relaxed) + 1;
    let last = LAST_STEP.load(Relaxed);
    if (FIRST_STEP.load(Relaxed)..=last).contains(&step) {
        // SAFETY: nothing else is stored there than an `Act`, before the first step.
        let act: Act = unsafe { mem::transmute(ACT.load(Relaxed)) };
        act();
        ACTS.fetch_add(1, Relaxed);
    }
    if step >= last {
        // SAFETY: a handler with `SA_SIGINFO` is given the registers that its thread goes on with.
        let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
    }
}

fn handle_traps() {
    // SAFETY: the structure is a plain one, zero where it is not set; what handlers do here, they may do anywhere.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()), 0);
    }
}

/// Does `work`, and `act` after each of some of its instructions. Returns how many steps were taken, up to the last of
/// these.
fn interrupted(at: RangeInclusive<u64>, act: Act, work: impl FnOnce()) -> u64 {
    ACT.store(act as *mut (), Relaxed);
    FIRST_STEP.store(*at.start(), Relaxed);
    LAST_STEP.store(*at.end(), Relaxed);
    STEPS.store(0, Relaxed);
    // SAFETY: the instructions set a flag; the handler has been installed.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    work();
    // SAFETY: the instructions clear the flag.
    unsafe { asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq") };
    STEPS.load(Relaxed)
}

/// Returns all that was counted of blocks of `bytes`.
fn of_size(growth: &Snapshot, bytes: usize) -> Totals {
    let mut sum = Totals::default();
    let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size).chain(&growth.overflow);
    sizes
        .filter(|size| size.size_class == alloc_profiler::size_class(bytes))
        .for_each(|size| sum += size.totals);
    sum
}

const ACTIONS: [(&str, Act); 4] = [
    ("pauses", || unsampled(|| ())),
    ("allocates", || allocate_and_free(HANDLERS_BYTES)),
    ("allocates paused", || unsampled(|| allocate_and_free(HANDLERS_BYTES))),
    ("sets the interval", || set_sampling_interval(1)),
];

/// Checks that whatever a handler did within `work`, the thread is sampled as before: here, each of its allocations.
fn samples_as_before(work: fn()) {
    handle_traps();
    touch_all_slots();
    set_sampling_interval(1);
    for (name, act) in ACTIONS {
        work();
        let before = snapshot();
        let steps = interrupted(EACH, act, work);
        let probe = || (0..3).for_each(|_| allocate_and_free(BYTES));
        probe();
        // A short work is interrupted at each step. A long one is at some, since all steps before each must be taken
        // again.
        let each = (1..steps + 10).step_by(if steps < 400 { 1 } else { steps as usize / 12 });
        let count = each.clone().count();
        for step in each {
            interrupted(step..=step, act, work);
            probe();
        }
        println!("a handler that {name}: {count} times, and once at each of {steps} instructions");
        let after = snapshot();
        assert_consistent(&after);
        let counted = of_size(&after.since(&before), BYTES);
        assert_eq!(counted.alloc_objects, 3.0 * (count + 1) as f64, "a handler that {name}");
        assert_eq!(counted.inuse_objects, 0.0, "a handler that {name}");
    }
}

#[test]
fn in_a_pause() {
    isolated(1, || samples_as_before(|| unsampled(|| ())));
}

#[test]
fn in_a_sampled_allocation_and_its_free() {
    isolated(1, || samples_as_before(|| allocate_and_free(INTERRUPTED_BYTES)));
}

/// What is interrupted is sampled too.
#[test]
fn what_is_interrupted_is_counted_once() {
    const COUNT: usize = 4;
    isolated(1, || {
        handle_traps();
        touch_all_slots();
        for (name, act) in ACTIONS {
            set_sampling_interval(1);
            let before = snapshot();
            for _ in 0..COUNT {
                interrupted(EACH, act, || allocate_and_free(INTERRUPTED_BYTES));
            }
            let counted = of_size(&snapshot().since(&before), INTERRUPTED_BYTES);
            assert_eq!(counted.alloc_objects, COUNT as f64, "a handler that {name}");
            assert_eq!(counted.inuse_objects, 0.0, "a handler that {name}");
        }
    });
}

#[test]
fn in_a_change_of_the_interval() {
    isolated(1, || {
        samples_as_before(|| {
            set_sampling_interval(4096);
            set_sampling_interval(1);
        });
    });
}

#[test]
fn in_a_snapshot() {
    isolated(1, || {
        handle_traps();
        set_sampling_interval(1);
        let before = snapshot();
        interrupted(EACH, || unsampled(|| ()), || drop(black_box(snapshot())));
        (0..3).for_each(|_| allocate_and_free(BYTES));
        assert_eq!(of_size(&snapshot().since(&before), BYTES).alloc_objects, 3.0);
    });
}

/// A handler that pauses has no part in which allocations are sampled, so they are the same ones without it.
#[test]
fn a_pause_moves_no_sample() {
    const COUNT: usize = 200;
    isolated(1, || {
        handle_traps();
        touch_all_slots();
        set_sampling_interval(4096);
        let sampled = |at: RangeInclusive<u64>| {
            let mut is_sampled = unsampled(|| Vec::with_capacity(COUNT));
            testing::seed(7);
            for n in 0..COUNT {
                let mut address = 0;
                interrupted(at.clone(), || unsampled(|| ()), || address = allocate(n * 37 % 200 + 1));
                is_sampled.push(testing::may_be_sampled(address));
                free(address);
            }
            is_sampled
        };
        let undisturbed = sampled(NONE);
        let count = undisturbed.iter().filter(|&&is_sampled| is_sampled).count();
        assert!((COUNT / 100..COUNT / 10).contains(&count), "{count} samples");
        assert_eq!(sampled(EACH), undisturbed);
    });
}

/// While an allocation is being decided, a handler's is not decided by what is left of its gap, nor does it take its
/// sample away.
#[test]
fn estimates_stay_right() {
    const COUNT: usize = 100;
    const INTERVAL: u64 = 512;
    /// By chance, one in 32 of the handler's allocations is sampled.
    const MAX_RUN: u64 = 8;
    static RUN: AtomicU64 = AtomicU64::new(0);
    static LONGEST_RUN: AtomicU64 = AtomicU64::new(0);
    isolated(1, || {
        handle_traps();
        touch_all_slots();
        testing::seed(3);
        set_sampling_interval(INTERVAL);
        let before = snapshot();
        let handler = || {
            let address = allocate(HANDLERS_BYTES);
            let run = if testing::may_be_sampled(address) { RUN.load(Relaxed) + 1 } else { 0 };
            RUN.store(run, Relaxed);
            LONGEST_RUN.fetch_max(run, Relaxed);
            free(address);
        };
        for _ in 0..COUNT {
            interrupted(EACH, handler, || allocate_and_free(INTERRUPTED_BYTES));
        }
        let growth = snapshot().since(&before);
        // Each sample stands for about an interval's bytes, and their number has a Poisson distribution.
        let deviations = |bytes: f64, truth: f64| (bytes - truth) / (truth * INTERVAL as f64).sqrt();
        let interrupted = of_size(&growth, INTERRUPTED_BYTES).alloc_bytes;
        let off = deviations(interrupted, (COUNT * INTERRUPTED_BYTES) as f64);
        assert!(off.abs() < 6.0, "{interrupted} bytes of what was interrupted, off by {off} deviations");
        // Allocations within our own code are not sampled, so there may be less.
        let truth = (ACTS.load(Relaxed) * HANDLERS_BYTES as u64) as f64;
        let handlers = of_size(&growth, HANDLERS_BYTES).alloc_bytes;
        let off = deviations(handlers, truth);
        println!("{handlers:.0} of {truth} bytes of handlers were counted, {off:.1} deviations");
        assert!(off < 6.0 && handlers > 0.0, "{handlers} bytes of handlers, off by {off} deviations");
        let run = LONGEST_RUN.load(Relaxed);
        assert!(run < MAX_RUN, "{run} allocations of handlers were sampled one after the other");
    });
}
