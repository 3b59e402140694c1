//! What the handler works with during a capture: a mapping of its own, which the handler finds by one pointer and which goes
//! when the capture ends.
//!
//! Path: *signal handlers*, but for [`Machine::map`] and [`Active::drop`].

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use super::known_threads::KnownThreads;
use super::purpose::Purpose;
use super::ring::Ring;
use super::scratch::{GUARD_BYTES, ScratchStacks};
use super::stack_ends::StackEnds;

/// Zeroed memory is a machine at the beginning of a capture. It is only ever used in a mapping.
#[repr(C)]
pub(super) struct Machine {
    pub(super) scratch: ScratchStacks,
    pub(super) ring: Ring,
    pub(super) known_threads: KnownThreads,
    pub(super) stack_ends: StackEnds,
    /// Whether samples tell when they were taken, which takes a system call.
    pub(super) is_timed: AtomicBool,
}

/// Where handlers find the machine of one purpose.
struct Place {
    /// The machine of the capture that is under way.
    active: AtomicPtr<Machine>,
    /// How many handlers are running that may use it.
    handlers: AtomicU32,
}

/// Each purpose has one.
static PLACES: [Place; 2] =
    [const { Place { active: AtomicPtr::new(ptr::null_mut()), handlers: AtomicU32::new(0) } }; 2];

/// How long the end of a capture waits for handlers. They take microseconds, unless their thread is stopped.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Runs `work` with the machine of the capture that is under way, if there is one. The machine stays until `work` is done.
#[inline(always)]
pub(super) fn with_active(purpose: Purpose, work: impl FnOnce(&Machine)) {
    let Some(Place { active, handlers }) = PLACES.get(purpose as usize) else { return };
    handlers.fetch_add(1, SeqCst);
    // SAFETY: whoever takes the machine away stores null first, and then waits until no handler is counted. The order of all
    // these operations is total, so either the count is seen there or null is seen here.
    if let Some(machine) = unsafe { active.load(SeqCst).as_ref() } {
        work(machine);
    }
    handlers.fetch_sub(1, SeqCst);
}

/// The machine, which handlers use as long as this exists.
pub(super) struct Active {
    machine: &'static Machine,
    place: &'static Place,
}

impl Machine {
    /// Maps a machine and has handlers use it. There must be no other one of that purpose.
    pub(super) fn map(purpose: Purpose) -> io::Result<Active> {
        let (anywhere, kind) =
            (ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping of our own, at a place that the kernel chooses.
        let start = unsafe { libc::mmap(anywhere, size_of::<Machine>(), protection, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is as large as a machine, aligned to pages, and zeroed. It is shared from here on.
        let machine = unsafe { &*start.cast::<Machine>() };
        let place = &PLACES[purpose as usize];
        let active = Active { machine, place };
        for stack in &machine.scratch.stacks {
            // SAFETY: a page of our own mapping, which nobody uses.
            if unsafe { libc::mprotect(stack.guard.get().cast(), GUARD_BYTES, libc::PROT_NONE) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        place.active.store(start.cast(), SeqCst);
        Ok(active)
    }
}

impl std::ops::Deref for Active {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.machine
    }
}

impl Active {
    /// Takes the machine away from handlers, and waits until none uses it. False: one did not end in time. What it does
    /// later is lost, and the mapping has to stay.
    pub(super) fn quiesce(&self) -> bool {
        self.place.active.store(ptr::null_mut(), SeqCst);
        let start = Instant::now();
        while self.place.handlers.load(SeqCst) != 0 {
            if start.elapsed() > LONGEST_WAIT {
                return false;
            }
            thread::sleep(Duration::from_micros(50));
        }
        true
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // mutant: E1 the system's own handling is put back
        if self.quiesce() {
            let start = ptr::from_ref(self.machine).cast_mut().cast();
            // SAFETY: this unmaps a mapping of our own. Handlers find it no more, and none is running.
            unsafe { libc::munmap(start, size_of::<Machine>()) };
        }
    }
}

/// Leaves the parent's machines alone.
///
/// # Safety
///
/// The calling thread is the only one of its process, and is not in the handler.
pub(super) unsafe fn begin_anew() {
    for Place { active, handlers } in &PLACES {
        let machine = active.swap(ptr::null_mut(), Relaxed);
        handlers.store(0, Relaxed);
        if !machine.is_null() {
            // SAFETY: this unmaps a mapping of our own, which no thread of this process uses.
            unsafe { libc::munmap(machine.cast(), size_of::<Machine>()) };
        }
    }
}
