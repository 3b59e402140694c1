//! The handler by itself, on the thread that calls it: for the benchmark.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use super::handler::on_signal;
use super::machine::{Active, Machine};
use super::purpose::Purpose;
use super::sender::Senders;
use super::turn::Turn;
use super::{maps, system_call};
use crate::StartError;

/// A capture without timers, whose handler is called like any function.
pub struct Handling {
    machine: Active,
    senders: Senders,
    _turn: Turn,
}

/// How often the handler is called until its samples are taken away.
const BATCH: u32 = 1000;

impl Handling {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// The errors are those of [`CpuCapture::start`](super::CpuCapture::start).
    pub fn start() -> Result<Handling, StartError> {
        let turn = Turn::take(Purpose::Cpu)?;
        unwinder::prepare();
        let refused = |source| StartError::Refused { what: "memory for samples", source };
        let machine = Machine::map(Purpose::Cpu).map_err(refused)?;
        let (main, others) = maps::stacks().unwrap_or_default();
        machine.stack_ends.set(main, &others);
        Ok(Handling { machine, senders: Senders::draw(Purpose::Cpu), _turn: turn })
    }

    /// Calls the handler as if it had interrupted this function: a thousand times, and `batches` times that. Returns the
    /// shortest time of a call, as the mean of a thousand, and how many frames the handler found.
    #[inline(never)]
    pub fn time(&self, batches: u32) -> (Duration, usize) {
        let (mut shortest, mut frames) = (Duration::MAX, 0);
        let mut info = self.info();
        let mut context = MaybeUninit::<libc::ucontext_t>::uninit();
        // SAFETY: it fills in the registers of this function, which goes on only between calls of the handler.
        unsafe { libc::getcontext(context.as_mut_ptr()) };
        for _ in 0..batches {
            let start = Instant::now();
            for _ in 0..BATCH {
                on_signal(libc::SIGPROF, (&raw mut info).cast(), context.as_mut_ptr().cast());
            }
            shortest = shortest.min(start.elapsed() / BATCH);
            self.machine.ring.drain(|sample| frames = sample.frames.len());
        }
        (shortest, frames)
    }

    /// Returns how many bytes of the stack that it interrupts the handler uses, beside what the kernel puts there. Bytes that
    /// it writes zeros to are not seen, so this may be a little less than all.
    pub fn used_stack_bytes(&self) -> usize {
        struct Arguments([u64; 16], MaybeUninit<libc::ucontext_t>);
        extern "C" fn interrupted(Arguments(info, context): &mut Arguments) {
            on_signal(libc::SIGPROF, (&raw mut *info).cast(), context.as_mut_ptr().cast());
        }
        // The first one was used before, and has what it was used for.
        let (_first, second) = (self.machine.scratch.claim(), self.machine.scratch.claim());
        let mut arguments = Arguments(self.info(), MaybeUninit::uninit());
        // SAFETY: it fills in the registers of this function, which goes on when the handler is done.
        unsafe { libc::getcontext(arguments.1.as_mut_ptr()) };
        second.map_or(0, |stack| {
            stack.run(interrupted, &mut arguments);
            stack.used_bytes()
        })
    }

    /// What the kernel would say of a signal of this thread's timer.
    fn info(&self) -> [u64; 16] {
        let sender = self.senders.of_thread(system_call::thread_id());
        let mut info = [0_u64; 16];
        // The code is the lower half of the second word, and the value is the fourth word.
        info[1] = u64::from(libc::SI_TIMER as u32);
        info[3] = sender.0;
        info
    }
}
