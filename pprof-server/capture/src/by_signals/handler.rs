//! The signal handler: a signal of our timers becomes a sample, and one of a dump the stack of a thread.
//!
//! Path: *signal handlers*. Nothing here locks, allocates, uses a thread-local or can panic; `errno` is not touched, since
//! nothing of the C library is called that would set it.

use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;

use super::context::{Context, ValueSignal};
use super::earlier_handlers::forward;
use super::machine::{Machine, with_active};
use super::purpose::Purpose;
use super::ring::{Claimed, Header};
use super::sender::Sender;
use super::{system_call, wait};
use unwinder::{CodeAddress, Registers};

/// Handles a signal that may be ours.
pub(super) extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel has called this as a handler with these arguments.
    let ours = unsafe { ValueSignal::of(info) }.filter(|ours| Sender(ours.value).is_ours());
    let Some(ours) = ours else {
        // SAFETY: the kernel has called this as a handler with these arguments, and `forward` passes them on.
        return unsafe { forward(signal, info, context) };
    };
    // SAFETY: as above; nobody else uses it while we do.
    let mut context = unsafe { Context::of(context) };
    with_active(ours.purpose, |machine| take_sample(machine, ours, context.registers()));
    // A dump sends signals to threads that run, so whatever wait the signal has cut short has hardly begun.
    // mutant: E30 waits that a dump cuts short end early
    wait::go_on(&mut context, ours.purpose == Purpose::Dump);
}

/// A walk that is to be done on a scratch stack.
struct Walk<'a> {
    slot: Option<Claimed<'a>>,
    header: Header,
    registers: Registers,
    stack_end: Option<usize>,
}

#[inline(never)]
fn take_sample(machine: &Machine, ours: ValueSignal, registers: Registers) {
    let sender = Sender(ours.value);
    if !sender.is_present(ours.purpose) {
        return;
    }
    // mutant: E40 samples have no labels
    let mut header = Header { periods: ours.periods, label: unwinder::label::current(), ..Header::default() };
    if machine.is_timed.load(Relaxed) {
        header.at = system_call::monotonic_nanoseconds();
    }
    let mut stack_end = None;
    match sender.thread_id() {
        // Dumps are made too seldom for a list of where stacks end. Pages are tried out.
        _ if ours.purpose == Purpose::Dump => header.thread_id = system_call::thread_id(),
        Some(thread_id) => {
            header.thread_id = thread_id;
            // The controller has listed the mappings after it has met this thread.
            stack_end = machine.stack_ends.of_thread(registers.stack_pointer);
        }
        None => {
            // mutant: E3 the C library is called in a handler
            header.thread_id = system_call::thread_id();
            // mutant: E7 threads are counted twice
            if machine.known_threads.contains(header.thread_id) {
                return;
            }
            header.thread_name = system_call::thread_name();
        }
    }
    let Some(slot) = machine.ring.claim() else { return machine.ring.note_lost(ours.periods) };
    let Some(scratch) = machine.scratch.claim() else {
        machine.ring.note_leaf_only();
        return slot.fill_leaf(header, CodeAddress::of_instruction(registers.instruction_pointer));
    };
    scratch.run(walk, &mut Walk { slot: Some(slot), header, registers, stack_end });
}

extern "C" fn walk(walk: &mut Walk<'_>) {
    let Walk { slot, header, registers, stack_end } = walk;
    if let Some(slot) = slot.take() {
        // SAFETY: these are the registers of this thread, which goes on when the handler has returned. Up to `stack_end`, all
        // is the thread's own stack.
        slot.fill(*header, |room| unsafe { unwinder::capture_from(room, *registers, *stack_end) });
    }
}
