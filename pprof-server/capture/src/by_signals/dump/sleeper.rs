//! The stack of a thread that waits in the kernel, from outside: its words are copied, in a way that cannot fault, and the copy
//! is walked. The thread does not notice.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::process;

use unwinder::{CodeAddress, StackCopy};

use super::super::timers::used_time;
use super::task::{Asleep, Whereabouts, kernel_function, whereabouts};
use crate::{Found, Thread, ThreadState};

/// How much of a stack is copied, in words: what nearly all need at first, and what the deepest do.
const COPIED_WORDS: [usize; 2] = [16 << 7, 1 << 17];
const WORD_BYTES: usize = size_of::<usize>();
/// `syscall` has two bytes.
const INSTRUCTION_BYTES: usize = 2;

/// What was found of a thread that sleeps.
#[derive(Clone, Debug)]
struct Walked {
    /// The leaf comes first.
    frames: Box<[CodeAddress]>,
    is_truncated: bool,
    /// No frame pointer was guessed.
    is_certain: bool,
    /// The outermost frame was not reached.
    is_cut: bool,
}

/// Why nothing was found of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotWalked {
    /// It has gone on meanwhile.
    Moved,
    /// The system does not let its stack be read.
    Unreadable,
}

/// Copies stacks, into memory that it keeps.
#[derive(Default)]
pub(in crate::by_signals) struct Copier {
    words: Vec<usize>,
}

impl Copier {
    /// Notes the stack of a thread that sleeps there, its label, and what it waits in. False: it has gone on, and nothing is noted.
    pub(in crate::by_signals) fn note_stack(&mut self, thread: &mut Thread, asleep: &Asleep) -> bool {
        // The label is of the same sleep: had the thread gone on in between, the walk would tell.
        let label = self.label(thread.id);
        let walked = self.walk(thread.id, asleep);
        if matches!(walked, Err(NotWalked::Moved)) {
            return false;
        }
        if thread.state == ThreadState::Running {
            thread.state = ThreadState::Sleeping;
        }
        thread.label = label;
        thread.waits = match &asleep.call {
            Some(call) => Some(call.name()),
            None => kernel_function(thread.id),
        };
        let is_exact = matches!(&walked, Ok(Walked { is_certain: true, is_cut: false, .. }));
        thread.found = Found::Unreadable;
        if let Ok(Walked { frames, is_truncated, .. }) = walked {
            (thread.frames, thread.is_truncated) = (frames, is_truncated);
            thread.found = if is_exact { Found::FromOutside } else { Found::Approximately };
        }
        true
    }

    /// The stack of a thread that sleeps there, and did so until the end of the copy: it is asked for once more after that. What
    /// was copied while the thread went on is not believed. It may have come back to the same place meanwhile, but then it has
    /// used CPU time, which the kernel counts by the nanosecond.
    fn walk(&mut self, thread_id: u32, asleep: &Asleep) -> Result<Walked, NotWalked> {
        let mut walked = Err(NotWalked::Unreadable);
        for words in COPIED_WORDS {
            let used_before = used_time(thread_id);
            let copied = self.copy(asleep.stack_pointer, words).ok_or(NotWalked::Unreadable)?;
            // mutant: E31 a copy is believed though the thread went on
            if !matches!(whereabouts(thread_id), Ok(Whereabouts::Asleep(now)) if now == *asleep) {
                return Err(NotWalked::Moved);
            }
            // mutant: E31 a thread that went on and came back is believed to have slept
            if used_time(thread_id) != used_before {
                return Err(NotWalked::Moved);
            }
            let found = walk(asleep, &self.words[..copied]);
            let needs_more = found.is_cut && copied == words;
            walked = Ok(found);
            if !needs_more {
                break;
            }
        }
        walked
    }

    /// Returns the label of a thread that sleeps. 0: it has none, or its word cannot be read.
    fn label(&mut self, thread_id: u32) -> u32 {
        let word = unwinder::label::word_of(thread_id).filter(|&address| self.copy(address, 1).is_some());
        let label = word.and_then(|_| unwinder::label::of_word(*self.words.first()? as u64, thread_id));
        label.unwrap_or(0)
    }

    /// A copy of so many words of memory, or of as many as can be read.
    pub(in crate::by_signals) fn words(&mut self, start: usize, words: usize) -> &[usize] {
        let copied = self.copy(start, words).unwrap_or(0);
        &self.words[..copied]
    }

    /// Copies so many words of memory, or as many as can be read, to `self.words`. Returns how many there are. `None`: there
    /// are none.
    fn copy(&mut self, start: usize, words: usize) -> Option<usize> {
        if !start.is_multiple_of(WORD_BYTES) {
            return None;
        }
        self.words.resize(self.words.len().max(words), 0);
        let place = &mut self.words[..words];
        let bytes = by_process_vm(start, place).or_else(|_| by_file(start, place)).ok()?;
        Some(bytes / WORD_BYTES).filter(|&copied| copied > 0)
    }
}

fn walk(asleep: &Asleep, words: &[usize]) -> Walked {
    // A thread that is in no system call has not run the instruction yet.
    let into_call = if asleep.call.is_some() { INSTRUCTION_BYTES } else { 0 };
    let mut room = unwinder::room();
    let copy = StackCopy { start: asleep.stack_pointer, words };
    let (walk, is_certain) =
        unwinder::capture_sleeping(&mut room, asleep.instruction_pointer.wrapping_sub(into_call), copy);
    let frames = walk.frames().iter().rev().copied().collect();
    Walked { frames, is_truncated: walk.is_truncated(), is_certain, is_cut: walk.is_cut() }
}

/// Copies memory of this process as if it were another's: the kernel reads it, and says how far it could.
fn by_process_vm(start: usize, place: &mut [usize]) -> io::Result<usize> {
    let bytes = size_of_val(place);
    let local = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: bytes };
    let remote = libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(start), iov_len: bytes };
    let this_process = process::id() as libc::pid_t;
    // SAFETY: the kernel writes at most `bytes` bytes to `place`, and reads what it can of the other.
    let copied =
        unsafe { libc::process_vm_readv(this_process, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// The same, where that call is not allowed.
fn by_file(start: usize, place: &mut [usize]) -> io::Result<usize> {
    let memory = File::open("/proc/self/mem")?;
    let bytes = size_of_val(place);
    // SAFETY: words are bytes, any of which are valid; the slice is all of `place`, which is not used meanwhile.
    let mut place =
        ManuallyDrop::new(unsafe { std::slice::from_raw_parts_mut(place.as_mut_ptr().cast::<u8>(), bytes) });
    memory.read_at(&mut place, start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_copied_as_can_be_read() {
        let (anywhere, kind) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of our own, at a place that the kernel chooses; then its last page, which nobody may touch.
        let start = unsafe {
            let start = libc::mmap(anywhere, 4 * 4096, libc::PROT_READ | libc::PROT_WRITE, kind, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.wrapping_byte_add(3 * 4096), 4096, libc::PROT_NONE), 0);
            start.cast::<usize>().wrapping_add(600).write(77);
            start
        };
        let address = start.expose_provenance() + 600 * WORD_BYTES;
        let until_end = (3 * 4096 / WORD_BYTES) - 600;
        let mut place = vec![1; 4096];
        assert_eq!(by_process_vm(address, &mut place).unwrap(), until_end * WORD_BYTES);
        assert_eq!((place[0], place[until_end - 1], place[until_end]), (77, 0, 1));
        assert!(by_process_vm(start.addr() + 3 * 4096, &mut place).is_err());
        // The file shows pages too that nobody may touch.
        let mut place = vec![1; until_end];
        assert_eq!(by_file(address, &mut place).unwrap(), until_end * WORD_BYTES);
        assert_eq!((place[0], place[until_end - 1]), (77, 0));
        assert!([by_process_vm, by_file].iter().all(|copy| copy(8, &mut place).is_err()));
        let mut copier = Copier::default();
        assert_eq!(copier.copy(address, 4096), Some(until_end));
        assert_eq!((copier.copy(address + 1, 4096), copier.copy(0, 4096)), (None, None));
        // SAFETY: the mapping of our own, which nobody uses any more.
        assert_eq!(unsafe { libc::munmap(start, 4 * 4096) }, 0);
    }
}
