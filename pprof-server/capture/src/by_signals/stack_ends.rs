//! Where the stacks of threads end, so that the handler need not ask the kernel for each page that it reads.
//!
//! The controller lists the process's mappings and keeps those that look like a thread's stack: memory right above a page
//! that nobody may touch, which the C library puts below each stack of a thread; and the main thread's. The C library keeps
//! its own record of a thread, which the processor's `fs` register points to, in the same mapping at the end of the stack. So
//! where the stack pointer and that record are in one such mapping, the thread is on its own stack. Everything from the stack
//! pointer up to the record is there as long as the thread lives, since nobody unmaps the stack of a living thread.
//! Other stacks (fibers', signals') may be unmapped at any time, so nothing is said of them.
//!
//! The mappings must have been listed when the thread was alive. The handler asks only for threads that were.
//!
//! Path: *signal handlers*, but for [`StackEnds::set`].

use std::arch::asm;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*, fence};

use super::maps::StackRange;

/// Stacks beyond this number are not kept, and their pages are tried out.
pub(super) const MAX_STACKS: usize = 8192;

/// Zeroed memory is an empty list.
#[repr(C)]
pub(super) struct StackEnds {
    /// Odd while the list is being changed.
    version: AtomicU32,
    count: AtomicUsize,
    /// Where the main thread's stack begins and ends.
    main: [AtomicUsize; 2],
    /// Where the others begin and end, ascending.
    ranges: [[AtomicUsize; 2]; MAX_STACKS],
}

impl StackEnds {
    /// Where the stack ends that the calling thread is on, with its stack pointer at `stack_pointer`. `None`: it is not known
    /// to be the thread's own stack, or the list is being changed.
    #[inline(always)]
    pub(super) fn of_thread(&self, stack_pointer: usize) -> Option<usize> {
        self.find(stack_pointer, thread_pointer())
    }

    fn find(&self, stack_pointer: usize, thread_pointer: usize) -> Option<usize> {
        let version = self.version.load(Acquire);
        let [main_start, main_end] = [&self.main[0], &self.main[1]].map(|bound| bound.load(Relaxed));
        let found = match (main_start..main_end).contains(&stack_pointer) {
            true => Some(main_end),
            false => self.end_of_range(stack_pointer, thread_pointer),
        };
        fence(Acquire);
        found.filter(|_| version.is_multiple_of(2) && self.version.load(Relaxed) == version)
    }

    fn end_of_range(&self, stack_pointer: usize, thread_pointer: usize) -> Option<usize> {
        let ranges = self.ranges.get(..self.count.load(Relaxed))?;
        let next = ranges.partition_point(|range| range[0].load(Relaxed) <= stack_pointer);
        let range = ranges.get(next.checked_sub(1)?)?;
        // mutant: E4 a fiber is taken for the thread's own stack
        (stack_pointer < thread_pointer && thread_pointer < range[1].load(Relaxed)).then_some(thread_pointer)
    }

    /// Replaces the list. Only the controller calls this.
    pub(super) fn set(&self, main: Option<StackRange>, ranges: &[StackRange]) {
        self.version.fetch_add(1, Relaxed);
        fence(Release);
        let main = main.unwrap_or(StackRange { start: 0, end: 0 });
        self.main[0].store(main.start, Relaxed);
        self.main[1].store(main.end, Relaxed);
        let ranges = &ranges[..ranges.len().min(MAX_STACKS)];
        for (place, range) in self.ranges.iter().zip(ranges) {
            place[0].store(range.start, Relaxed);
            place[1].store(range.end, Relaxed);
        }
        self.count.store(ranges.len(), Relaxed);
        self.version.fetch_add(1, Release);
    }
}

/// Where the C library's record of the calling thread is: the record begins with its own address.
#[inline(always)]
fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the platform's ABI has the address of the record in its first word.
    unsafe { asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_signals::maps;

    fn empty() -> Box<StackEnds> {
        let layout = std::alloc::Layout::new::<StackEnds>();
        // SAFETY: zeroed memory is an empty list, of that layout.
        unsafe { Box::from_raw(std::alloc::alloc_zeroed(layout).cast::<StackEnds>()) }
    }

    #[test]
    fn a_stack_ends_where_the_thread_s_record_is() {
        let ends = empty();
        let range = |start, end| StackRange { start, end };
        assert_eq!(ends.find(0x5000, 0x5800), None);
        ends.set(Some(range(0x9000, 0xa000)), &[range(0x1000, 0x2000), range(0x5000, 0x6000)]);
        for (stack_pointer, thread_pointer, end) in [
            (0x5000, 0x5800, Some(0x5800)),
            (0x5400, 0x5fff, Some(0x5fff)),
            (0x5400, 0x6000, None),
            (0x5900, 0x5800, None),
            (0x1000, 0x5800, None),
            (0x4fff, 0x5800, None),
            (0x0fff, 0x1800, None),
            (0x9100, 0x5800, Some(0xa000)),
            (0xa000, 0x5800, None),
        ] {
            assert_eq!(
                ends.find(stack_pointer, thread_pointer),
                end,
                "{stack_pointer:#x}, {thread_pointer:#x}"
            );
        }
        ends.version.fetch_add(1, Relaxed);
        assert_eq!(ends.find(0x5000, 0x5800), None, "it is being changed");
    }

    #[test]
    fn the_stacks_of_threads_are_found_in_the_list_of_mappings() {
        let ends = empty();
        let (at_start, at_end) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let found = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                at_start.wait();
                at_end.wait();
                let here = 0_u8;
                let on_heap = Box::new(0_u8);
                let here = (&raw const here).addr();
                (ends.of_thread(here), here, ends.of_thread((&raw const *on_heap).addr()))
            });
            at_start.wait();
            let (main, ranges) = maps::stacks().unwrap();
            ends.set(main, &ranges);
            at_end.wait();
            thread.join().unwrap()
        });
        let (Some(end), here, None) = found else { panic!("{found:?}") };
        assert!((here..here + (8 << 20)).contains(&end));
    }
}
