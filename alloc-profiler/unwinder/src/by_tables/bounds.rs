//! This finds where the stacks of threads begin and end, and how much of the stack that we are on is left.
//!
//! The C library and the kernel are asked once in a thread's life, without opening a file: a sandbox may kill whoever does.
//!
//! Path: *allocation path* and *signal handlers*, but for [`ask_once`].

use std::cell::Cell;

use super::pages::{PAGE_BYTES, is_readable};

/// Tells the range of addresses of a stack, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    low: usize,
    pub(super) high: usize,
}

impl Bounds {
    pub(super) const NONE: Bounds = Bounds { low: 0, high: 0 };

    #[inline(always)]
    pub(super) fn contains(self, address: usize) -> bool {
        (self.low..self.high).contains(&address)
    }
}

thread_local! {
    /// The bounds of the thread's own stack; empty if they cannot be told, `None` if nobody has asked yet.
    static OWN: Cell<Option<Bounds>> = const { Cell::new(None) };
}

/// The bounds of the calling thread's own stack, empty if they cannot be told. `None`: [`ask_once`] was not called yet.
#[inline(always)]
pub(super) fn own() -> Option<Bounds> {
    // It is always there. But the compiler does not always see through `with`, which panics where it is not.
    OWN.try_with(Cell::get).ok().flatten()
}

/// Asks for the bounds of the calling thread's own stack, if nobody has yet. The C library may call `malloc` for that.
pub(super) fn ask_once() {
    if own().is_none() {
        let bounds = system::stack_bounds();
        let _ = OWN.try_with(|known| known.set(Some(bounds)));
    }
}

/// The bytes of stack that a walk may need, and half as many again. Where it evaluates rules, it needs 5 KiB, and 7 KiB for
/// those of a signal's frame; without optimization, when every value has a place of its own, 15 KiB. `tests/hazards` of
/// this workspace measures it.
const NEEDED_BYTES: usize = if cfg!(debug_assertions) { 24 << 10 } else { 12 << 10 };

/// Whether [`NEEDED_BYTES`] are left below `stack_pointer`. `None`: [`ask_once`] was not called yet.
#[inline(always)]
pub(super) fn has_room(stack_pointer: usize) -> Option<bool> {
    let bounds = own()?;
    Some(match bounds.contains(stack_pointer) {
        // mutant: A9 there is always room
        true => stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES,
        // mutant: A9 there is always room on a fiber
        false => has_room_on_strange_stack(stack_pointer),
    })
}

/// As [`has_room`], where the C library must not be asked. The main thread's stack is known without it. Of other threads that have not
/// called [`ask_once`], pages are tried out.
#[inline(always)]
pub(super) fn has_room_without_asking(stack_pointer: usize) -> bool {
    has_room(stack_pointer).unwrap_or_else(|| has_room_untold(stack_pointer))
}

#[cold]
#[inline(never)]
fn has_room_untold(stack_pointer: usize) -> bool {
    let main_thread = system::main_thread_once();
    if main_thread.contains(stack_pointer) {
        let _ = OWN.try_with(|known| known.set(Some(main_thread)));
    }
    has_room(stack_pointer).unwrap_or_else(|| has_room_on_strange_stack(stack_pointer))
}

/// A signal's stack has bounds that can be asked for. Below a fiber's stack there is a page that nobody can read; where there
/// is none, nobody can tell where the stack ends.
#[cold]
#[inline(never)]
fn has_room_on_strange_stack(stack_pointer: usize) -> bool {
    if let Some(bounds) = system::signal_stack().filter(|bounds| bounds.contains(stack_pointer)) {
        // mutant: A10 signals' stacks have no end
        return stack_pointer.wrapping_sub(bounds.low) >= NEEDED_BYTES;
    }
    let page = stack_pointer & !(PAGE_BYTES - 1);
    (1..=NEEDED_BYTES / PAGE_BYTES).all(|n| is_readable(page.wrapping_sub(n.wrapping_mul(PAGE_BYTES))))
}

mod system {
    use std::sync::atomic::{AtomicUsize, Ordering::*};

    use super::Bounds;
    use crate::by_tables::pages::PAGE_BYTES;
    use crate::errno::keeping_errno;

    /// The stack that a signal's handler is running on, if it is one for signals alone.
    pub(super) fn signal_stack() -> Option<Bounds> {
        let mut stack = std::mem::MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: this only asks, and may be called from a handler. It fills `stack` if it returns 0.
        let stack = keeping_errno(|| unsafe {
            (libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) == 0).then(|| stack.assume_init())
        })?;
        let low = stack.ss_sp.addr();
        let is_in_use = stack.ss_flags & libc::SS_ONSTACK != 0;
        is_in_use.then_some(Bounds { low, high: low.saturating_add(stack.ss_size) })
    }

    /// The bounds of the calling thread's own stack; empty if they cannot be told.
    pub(super) fn stack_bounds() -> Bounds {
        let here = std::hint::black_box(0_u8);
        let here = (&raw const here).addr();
        let main_thread = main_thread_once();
        // mutant: D11 where the main thread's stack is stands in a file
        if main_thread.contains(here) { main_thread } else { this_thread() }
    }

    /// The bounds of the main thread's stack, found by whoever asks first; empty if they cannot be told.
    pub(super) fn main_thread_once() -> Bounds {
        static LOW: AtomicUsize = AtomicUsize::new(0);
        /// 0: nobody has asked.
        static HIGH: AtomicUsize = AtomicUsize::new(0);
        let high = HIGH.load(Acquire);
        if high != 0 {
            return Bounds { low: LOW.load(Relaxed), high };
        }
        let found = keeping_errno(main_thread).unwrap_or(Bounds { low: 1, high: 1 });
        LOW.store(found.low, Relaxed);
        HIGH.store(found.high, Release);
        found
    }

    #[cfg(not(musl))]
    unsafe extern "C" {
        /// glibc's loader keeps here where the main thread's stack began, with the program's arguments above.
        static __libc_stack_end: *const u8;
    }

    /// Returns an address where the main thread's stack began, or above it, among the program's arguments.
    fn start() -> usize {
        // SAFETY: the loader has set it before any code of the program ran, and nobody changes it.
        #[cfg(not(musl))]
        return unsafe { __libc_stack_end }.addr();
        // The kernel put random bytes there, below the name that the program was executed by.
        // SAFETY: it asks for a number.
        #[cfg(musl)]
        return unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
    }

    /// The bounds of the main thread's stack, from what the kernel and the loader left in memory. `pthread_getattr_np` would
    /// read `/proc/self/maps`, which a sandbox may forbid, and which takes 0.2 s where there are 60 000 mappings.
    pub(super) fn main_thread() -> Option<Bounds> {
        /// A larger limit, or none, is taken for this, which is more than programs have been seen to use.
        const MAX_BYTES: usize = 64 << 30;
        /// What the kernel keeps free between a stack and the mapping below, and the loader's own size: this is twice as
        /// much as usual.
        const MARGIN_BYTES: usize = 4 << 20;
        let start = start();
        let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: it fills in what it is given.
        if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limits) } != 0 || start == 0 {
            return None;
        }
        // The program's arguments are above the first frame, and the limit includes them.
        let limit = usize::try_from(limits.rlim_cur).unwrap_or(MAX_BYTES).min(MAX_BYTES);
        let lowest = end_of_arguments(start)?.saturating_sub(limit).next_multiple_of(PAGE_BYTES);
        // The kernel maps what it chooses the place of below what it mapped at the program's start, however large the
        // limit is made later. Where it fills memory upwards instead, there is no limit, and the stack is far above.
        let mapped_at_start = [libc::AT_BASE, libc::AT_PHDR, libc::AT_SYSINFO_EHDR]
            // SAFETY: it asks for numbers.
            .map(|number| unsafe { libc::getauxval(number) } as usize);
        let below = mapped_at_start.into_iter().filter(|&address| address < start).max().unwrap_or(0);
        let low = lowest.max(below.saturating_add(MARGIN_BYTES));
        Some(Bounds { low, high: start.checked_next_multiple_of(PAGE_BYTES)? })
    }

    /// Where the main thread's stack ends: the name that the program was executed by is the last thing there, except for a
    /// word. `None` if that is not so.
    fn end_of_arguments(start: usize) -> Option<usize> {
        /// The kernel takes no more arguments than this, at the usual limit.
        const MAX_BYTES: usize = 6 << 20;
        // SAFETY: it asks for a number.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
        if !(start..start.saturating_add(MAX_BYTES)).contains(&name) {
            return None;
        }
        // SAFETY: the kernel has put a terminated name there, and nobody takes it away.
        let bytes = unsafe { libc::strlen(std::ptr::with_exposed_provenance(name)) };
        let end = name.checked_add(bytes)?.checked_add(1)?.checked_add(size_of::<usize>())?;
        end.checked_next_multiple_of(PAGE_BYTES)
    }

    /// The bounds of the stack of a thread that was started: the C library knows where it has put that.
    fn this_thread() -> Bounds {
        let mut attributes = std::mem::MaybeUninit::uninit();
        let mut low = std::ptr::null_mut();
        let mut bytes = 0;
        // SAFETY: this asks about the calling thread, which exists. `pthread_getattr_np` fills the attributes if it returns
        // 0, and may allocate with C's `malloc`, which we are not inside of. It opens no file for a thread that was started.
        let is_known = keeping_errno(|| unsafe {
            libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0
                && libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut bytes) == 0
        });
        if !is_known {
            return Bounds { low: 0, high: 0 };
        }
        // SAFETY: they were initialized above.
        unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
        let low = low.addr();
        // musl's stack ends within a page, below what else the thread has.
        let unit = if cfg!(musl) { size_of::<usize>() } else { PAGE_BYTES };
        Bounds { low, high: low.saturating_add(bytes) & !unit.wrapping_sub(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program's own line of the maps tells the same as the bounds of its main thread, which tests do not run on.
    #[test]
    fn the_main_threads_stack_is_where_the_kernel_says() {
        let bounds = system::main_thread().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (start, rest) = line.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        let mapped = number(start)..number(rest.split_once(' ').unwrap().0);
        assert!(mapped.contains(&(bounds.high - 1)), "{bounds:x?} {line}");
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max stack size")).unwrap();
        if let Ok(limit) = limit.split_whitespace().nth(3).unwrap().parse::<usize>() {
            // Where the limit is large, the loader may lie within it.
            let margin = if limit <= 100 << 20 { 1 } else { 8 << 20 };
            let expected = mapped.end - limit;
            assert!((expected..expected + margin).contains(&bounds.low), "{bounds:x?} {line}");
        }
        assert!(
            !bounds.contains((&raw const bounds).addr()),
            "a thread that was started has a stack of its own"
        );
        let own = system::stack_bounds();
        assert!(own.contains((&raw const bounds).addr()), "{own:x?}");
    }

    #[test]
    fn a_thread_has_room_until_its_stack_is_nearly_used_up() {
        let thread = std::thread::spawn(|| {
            let here = std::hint::black_box(0_u8);
            let here = (&raw const here).addr();
            assert_eq!(has_room(here), None, "nobody has asked in this thread");
            assert!(has_room_without_asking(here));
            assert_eq!(has_room(here), None, "nobody has asked the C library");
            ask_once();
            let bounds = own().unwrap();
            let places = [here, bounds.low + NEEDED_BYTES, bounds.low + NEEDED_BYTES - 1, bounds.low];
            assert_eq!(places.map(has_room), [true, true, false, false].map(Some));
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_strange_stack_has_room_as_far_as_its_pages_can_be_read() {
        ask_once();
        let (anywhere, kind) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let bytes = NEEDED_BYTES + 2 * PAGE_BYTES;
        // SAFETY: a mapping of our own, at a place that the kernel chooses; then its first page, which nobody can read.
        let start = unsafe {
            let start = libc::mmap(anywhere, bytes, libc::PROT_READ, kind, -1, 0);
            assert_eq!(libc::mprotect(start, PAGE_BYTES, libc::PROT_NONE), 0);
            start
        };
        let last_page = start.expose_provenance() + bytes - PAGE_BYTES;
        assert_eq!([last_page, last_page - PAGE_BYTES].map(has_room), [Some(true), Some(false)]);
        // SAFETY: the mapping of our own, which nobody uses any more.
        assert_eq!(unsafe { libc::munmap(start, bytes) }, 0);
    }
}
