//! The stack is read with bounds: no read faults, whatever address an unwind rule comes up with.
//!
//! On a thread's own stack everything from the stack pointer to its end is there, if its bounds are known (`bounds`), or if
//! whoever takes the stack of interrupted code says where it ends. On any other stack (a fiber's, a signal's) each page is
//! tried out by a system call first. The stack of another thread is read from a copy, in which each word lies at the same
//! distance from where it is on the stack.
//!
//! Path: *allocation path* and *signal handlers*.

use super::bounds::{self, Bounds};
use super::pages::{PAGE_BYTES, is_readable};

const WORD_BYTES: usize = size_of::<usize>();

/// What may be read during one walk.
#[derive(Clone, Copy)]
pub(super) struct StackMemory {
    low: usize,
    high: usize,
    /// It is the thread's own stack, and `high` is the very end of that.
    is_own: bool,
    /// It is of code that a signal interrupted, whose handler asks no thread-local: in a library that was opened at run time,
    /// the loader may allocate one at its first use.
    is_interrupted: bool,
    /// How far from its place on the stack a word is read: 0, unless it is read from a copy.
    shift: usize,
}

impl StackMemory {
    /// The stack that `stack_pointer` is on, from there up.
    pub(super) fn of_thread(stack_pointer: usize) -> StackMemory {
        let bounds = bounds::own().unwrap_or(Bounds::NONE);
        let is_own = bounds.contains(stack_pointer);
        // Of a strange stack, only the page that the stack pointer is in is known to be there, since it is in use.
        let page_end = (stack_pointer | (PAGE_BYTES - 1)).wrapping_add(1);
        let high = if is_own { bounds.high } else { page_end };
        StackMemory { low: stack_pointer, high, is_own, is_interrupted: false, shift: 0 }
    }

    /// The stack of code that was interrupted, from its `stack_pointer` up. `end`: where it ends, if that is known. `None`:
    /// nothing of it can be read.
    pub(super) fn of_interrupted(stack_pointer: usize, end: Option<usize>) -> Option<StackMemory> {
        match end.filter(|&end| end > stack_pointer) {
            Some(high) => {
                Some(StackMemory { low: stack_pointer, high, is_own: true, is_interrupted: true, shift: 0 })
            }
            None => {
                let high = (stack_pointer | (PAGE_BYTES - 1)).wrapping_add(1);
                let memory =
                    StackMemory { low: stack_pointer, high, is_own: false, is_interrupted: true, shift: 0 };
                is_readable(stack_pointer & !(PAGE_BYTES - 1)).then_some(memory)
            }
        }
    }

    /// The stack of another thread, whose words from the address `start` up were copied to `copy`, which is there as long as
    /// this is. Nothing else of that stack is read. `None`: no thread has a stack there.
    pub(super) fn of_copy(start: usize, copy: &[usize]) -> Option<StackMemory> {
        let high = start.checked_add(size_of_val(copy))?;
        let shift = copy.as_ptr().expose_provenance().wrapping_sub(start);
        // A copy and what was copied are in different places.
        (shift != 0).then_some(StackMemory { low: start, high, is_own: true, is_interrupted: true, shift })
    }

    /// The lowest address that is known to be on it.
    pub(super) fn start(&self) -> usize {
        self.low
    }

    /// Whether it is a copy of another thread's stack. That thread may go on, so the code that it was in may be unloaded.
    pub(super) fn is_copy(&self) -> bool {
        self.shift != 0
    }

    /// The stack that a walk goes on to from this one. `None`: nothing of it can be read, or it is the thread's own again,
    /// of which everything that is in use is above where the walk began. A copy is all there is of its stack.
    pub(super) fn other(&self, stack_pointer: usize) -> Option<StackMemory> {
        if self.is_copy() {
            return None;
        }
        if self.is_interrupted {
            return StackMemory::of_interrupted(stack_pointer, None);
        }
        let other = StackMemory::of_thread(stack_pointer);
        let can_be_read = other.is_own || is_readable(stack_pointer & !(PAGE_BYTES - 1));
        (can_be_read && !(self.is_own && other.is_own)).then_some(other)
    }

    /// Where the thread's own stack ends, if this is it and what is used of it is less than 4 GiB, so that
    /// [`bytes_above`](Self::bytes_above) tells any two places apart.
    pub(super) fn own_end(&self) -> Option<usize> {
        let is_small = u32::try_from(self.high.wrapping_sub(self.low)).is_ok();
        (self.is_own && is_small).then_some(self.high)
    }

    /// Returns the bytes from `stack_pointer` up to the end.
    #[inline(always)]
    pub(super) fn bytes_above(&self, stack_pointer: usize) -> u32 {
        self.high.wrapping_sub(stack_pointer) as u32
    }

    /// Returns the stack pointer that has this many [bytes above](Self::bytes_above) it.
    pub(super) fn stack_pointer(&self, bytes_above: u32) -> usize {
        self.high.wrapping_sub(bytes_above as usize)
    }

    /// The word `distance` below the stack pointer that has `bytes_above` above it, if that word is on this stack.
    #[inline(always)]
    pub(super) fn read_below(&self, bytes_above: u32, distance: usize) -> Option<usize> {
        let span = self.high.wrapping_sub(self.low);
        let address = self.stack_pointer(bytes_above).wrapping_sub(distance);
        (bytes_above as usize <= span.checked_sub(distance)?).then(|| self.read_word(address))
    }

    /// The word at `address`, if that is known to be on this stack.
    #[inline(always)]
    pub(super) fn read_known(&self, address: usize) -> Option<usize> {
        (address >= self.low && address <= self.high.wrapping_sub(WORD_BYTES))
            .then(|| self.read_word(address))
    }

    /// Whether `address` is known to be on this stack.
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.low..=self.high).contains(&address)
    }

    /// The word at `address`, if that is on this stack.
    #[inline(always)]
    pub(super) fn read(&mut self, address: usize) -> Option<usize> {
        // mutant: A7 stacks are read without bounds
        if address < self.low || address > self.high.wrapping_sub(WORD_BYTES) {
            return self.read_beyond(address);
        }
        Some(self.read_word(address))
    }

    /// The word at `address`, which is not below the stack pointer, if it is known to be on this stack.
    #[inline(always)]
    pub(super) fn read_upwards(&self, address: usize) -> Option<usize> {
        (address <= self.high.wrapping_sub(WORD_BYTES)).then(|| self.read_word(address))
    }

    /// A word beyond what is known to be there: the next page, if it can be read.
    #[cold]
    fn read_beyond(&mut self, address: usize) -> Option<usize> {
        let page = address & !(PAGE_BYTES - 1);
        let is_next = page == self.high && address.is_multiple_of(WORD_BYTES);
        // A frame that is larger than a page skips some.
        let is_near = page > self.high && page.wrapping_sub(self.high) < 1 << 20;
        if self.is_copy() || !(is_next || is_near && address.is_multiple_of(WORD_BYTES)) || !is_readable(page)
        {
            return None;
        }
        if is_next {
            self.high = page.wrapping_add(PAGE_BYTES);
        }
        Some(self.read_word(address))
    }

    #[inline(always)]
    fn read_word(&self, address: usize) -> usize {
        let place = std::ptr::with_exposed_provenance::<usize>(address.wrapping_add(self.shift));
        // SAFETY: the callers checked that the word is mapped: it is above the stack pointer on the thread's own stack, or on a
        // page that the kernel has just read, or in the copy that `of_copy` was given. The functions that own the frames there do
        // not run meanwhile, so nobody writes to them. What is taken for a saved register is only compared and looked up.
        unsafe { place.read_unaligned() }
    }
}

#[cfg(test)]
impl StackMemory {
    /// As if `words`, which live on longer than this, were the thread's own stack, up to its end.
    pub(super) fn of_words(words: &[usize]) -> StackMemory {
        let low = words.as_ptr().expose_provenance();
        StackMemory { low, high: low + size_of_val(words), is_own: true, is_interrupted: false, shift: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_stack_is_read() {
        let words = [11, 22, 33];
        let mut memory = StackMemory::of_words(&words);
        let at = |index: usize| words.as_ptr().addr() + index * WORD_BYTES;
        assert_eq!([0, 1, 2].map(|index| memory.read(at(index))), words.map(Some));
        assert_eq!(
            [at(0) - 1, at(2) + 1, at(3), 0, usize::MAX].map(|address| memory.read_known(address)),
            [None; 5]
        );
        assert_eq!(
            [at(2), at(2) + 1, at(3)].map(|address| memory.read_upwards(address)),
            [Some(33), None, None]
        );
        assert!(memory.contains(at(0)) && memory.contains(at(3)) && !memory.contains(at(3) + 1));
        assert_eq!(memory.own_end(), Some(at(3)));
    }

    #[test]
    fn a_place_is_known_by_the_bytes_above_it() {
        let words = [11, 22, 33];
        let memory = StackMemory::of_words(&words);
        let second = words.as_ptr().addr() + WORD_BYTES;
        assert_eq!(memory.bytes_above(second), 16);
        assert_eq!(memory.stack_pointer(16), second);
        assert_eq!(
            [0, 8, 16, 24].map(|above| memory.read_below(above, WORD_BYTES)),
            [Some(33), Some(22), Some(11), None]
        );
        assert_eq!(memory.read_below(u32::MAX, WORD_BYTES), None);
        assert_eq!([16, 24, 32].map(|distance| memory.read_below(0, distance)), [Some(22), Some(11), None]);
    }

    /// On a stack that is not the thread's own, the walk goes from page to page, as far as they can be read.
    #[test]
    fn pages_of_a_strange_stack_are_tried_out() {
        let (anywhere, kind) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of our own, at a place that the kernel chooses.
        let start = unsafe { libc::mmap(anywhere, 4 * PAGE_BYTES, libc::PROT_READ, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let start_address = start.expose_provenance();
        let page = |index: usize| start_address + index * PAGE_BYTES;
        let last = start.wrapping_byte_add(3 * PAGE_BYTES);
        // SAFETY: this is the last page of that mapping, which is the test's own.
        assert_eq!(unsafe { libc::mprotect(last, PAGE_BYTES, libc::PROT_NONE) }, 0);
        let mut memory = StackMemory::of_interrupted(page(1) - 16, None).unwrap();
        assert_eq!((memory.own_end(), memory.read_known(page(1))), (None, None));
        assert_eq!(memory.read(page(2) + 8), Some(0), "a page may be skipped");
        assert_eq!(memory.read(page(1)), Some(0));
        assert_eq!(memory.read_known(page(2) - 8), Some(0), "the next page is known now");
        assert_eq!(memory.read(page(2) + 1), None, "beyond what is known, only aligned words are read");
        assert_eq!(memory.read(page(2)), Some(0));
        assert_eq!((memory.read(page(3)), memory.read(page(0))), (None, None));
        assert!(StackMemory::of_interrupted(page(3), None).is_none());
        assert!(StackMemory::of_interrupted(usize::MAX - 7, None).is_none());
        // SAFETY: the mapping of our own, which nobody uses any more.
        assert_eq!(unsafe { libc::munmap(start, 4 * PAGE_BYTES) }, 0);
    }

    #[test]
    fn of_a_copy_nothing_else_is_read() {
        let copy = [11, 22, 33];
        // Nothing is there.
        let start = 0x1000;
        let mut memory = StackMemory::of_copy(start, &copy).unwrap();
        assert_eq!([0, 8, 16].map(|offset| memory.read(start + offset)), copy.map(Some));
        assert_eq!(memory.read_upwards(start + 16), Some(33));
        let outside = [start - 8, start + 24, start + PAGE_BYTES, copy.as_ptr().expose_provenance()];
        assert_eq!(outside.map(|address| memory.read(address)), [None; 4]);
        assert!(memory.is_copy() && memory.other(copy.as_ptr().addr()).is_none());
        assert!(StackMemory::of_copy(usize::MAX - 7, &copy).is_none());
    }

    #[test]
    fn no_walk_goes_back_to_the_thread_s_own_stack() {
        bounds::ask_once();
        let here = std::hint::black_box(0_usize);
        let own = StackMemory::of_thread((&raw const here).addr());
        assert!(own.own_end().is_some());
        assert!(own.other((&raw const here).addr() - 64).is_none());
        let heap = vec![0_u8; 2 * PAGE_BYTES];
        let strange = own.other(heap.as_ptr().expose_provenance()).unwrap();
        assert!(
            strange.other((&raw const here).addr()).is_some(),
            "as from a signal's stack to the thread's"
        );
    }
}
