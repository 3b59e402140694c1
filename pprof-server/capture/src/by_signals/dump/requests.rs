//! Signals that ask threads where they are, and their answers.
//!
//! The memory that handlers need is mapped when the first thread is asked, and is given back when the dump is done.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::process;
use std::time::Duration;

use unwinder::CodeAddress;

use super::task::Task;
use crate::Found;
use crate::by_signals::machine::{Active, Machine};
use crate::by_signals::purpose::Purpose;
use crate::by_signals::sender::{Sender, Senders};
use crate::by_signals::signals;

/// So often answers are looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Sends the signals of one dump.
#[derive(Default)]
pub(super) struct Requests {
    /// `None`: nobody was asked yet.
    line: Option<Result<Line, Found>>,
    /// The threads that have not answered yet.
    open: HashSet<u32>,
    count: usize,
}

/// What signals are sent by.
struct Line {
    signal: libc::c_int,
    senders: Senders,
    machine: Active,
}

/// What a thread answers.
pub(super) struct Answer {
    pub(super) thread_id: u32,
    pub(super) label: u32,
    /// The leaf comes first.
    pub(super) frames: Box<[CodeAddress]>,
    pub(super) is_truncated: bool,
}

impl Requests {
    /// Asks a thread where it is. Returns what is to be said of it if it does not answer.
    pub(super) fn ask(&mut self, thread_id: u32, task: &Task) -> Found {
        let line = match self.line.get_or_insert_with(|| Line::open().ok_or(Found::NoSignal)) {
            Ok(line) => line,
            Err(found) => return *found,
        };
        if task.blocks(line.signal) {
            return Found::Blocked;
        }
        if line.send(thread_id) {
            self.open.insert(thread_id);
            self.count += 1;
        }
        Found::NoAnswer
    }

    /// How many threads were asked.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a thread has not answered yet.
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Hands each answer that there is to `take`.
    pub(super) fn take(&mut self, mut take: impl FnMut(Answer)) {
        let Some(Ok(line)) = &self.line else { return };
        line.machine.ring.drain(|sample| {
            let frames = sample.frames.iter().rev().copied().collect();
            let thread_id = sample.header.thread_id;
            self.open.remove(&thread_id);
            take(Answer { thread_id, label: sample.header.label, frames, is_truncated: sample.is_truncated });
        });
    }
}

impl Line {
    fn open() -> Option<Line> {
        let signal = signals::take(Purpose::Dump).ok()?;
        let machine = Machine::map(Purpose::Dump).ok()?;
        Some(Line { signal, senders: Senders::draw(Purpose::Dump), machine })
    }

    /// Sends the signal to a thread of this process. False: it has ended.
    fn send(&self, thread_id: u32) -> bool {
        let Sender(value) = self.senders.of_thread(thread_id);
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let (process, thread_id) = (process::id() as libc::pid_t, thread_id as libc::pid_t);
        // SAFETY: the record is integers, which are zero where nothing is written: the code is in the third place of 32 bits, the
        // sender in the fifth, and the value in the fourth of 64 bits, all within it. The signal goes to a thread of our own
        // process alone, even if its number was given to another one meanwhile, and our handler is there for it.
        unsafe {
            let words = info.as_mut_ptr().cast::<i32>();
            words.write(self.signal);
            words.add(2).write(libc::SI_QUEUE);
            words.add(4).write(process);
            info.as_mut_ptr().cast::<u64>().add(3).write(value);
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread_id, self.signal, info.as_ptr()) == 0
        }
    }
}
