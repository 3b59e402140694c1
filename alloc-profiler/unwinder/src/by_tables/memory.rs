//! The stack, read with bounds: no read faults, whatever address an unwind rule comes up with.
//!
//! On a thread's own stack everything from the stack pointer to its end is there, if its bounds are known (`bounds`). On any
//! other stack (a fiber's, a signal's) each page is tried out by a system call first.
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
}

impl StackMemory {
    /// The stack that `stack_pointer` is on, from there up.
    pub(super) fn of_thread(stack_pointer: usize) -> StackMemory {
        let bounds = bounds::own().unwrap_or(Bounds::NONE);
        let is_own = bounds.contains(stack_pointer);
        // Of a strange stack, only the page that the stack pointer is in is known to be there, since it is in use.
        let page_end = (stack_pointer | (PAGE_BYTES - 1)).wrapping_add(1);
        StackMemory { low: stack_pointer, high: if is_own { bounds.high } else { page_end }, is_own }
    }

    /// The stack of code that was interrupted, from its `stack_pointer` up. `None`: nothing of it can be read.
    pub(super) fn of_interrupted(stack_pointer: usize) -> Option<StackMemory> {
        let memory = StackMemory::of_thread(stack_pointer);
        (memory.is_own || is_readable(stack_pointer & !(PAGE_BYTES - 1))).then_some(memory)
    }

    /// The stack that a walk goes on to from this one. `None`: nothing of it can be read, or it is the thread's own again,
    /// of which everything that is in use is above where the walk began.
    pub(super) fn other(&self, stack_pointer: usize) -> Option<StackMemory> {
        StackMemory::of_interrupted(stack_pointer).filter(|other| !(self.is_own && other.is_own))
    }

    /// Where the thread's own stack ends, if this is it and what is used of it is less than 4 GiB, so that
    /// [`bytes_above`](Self::bytes_above) tells any two places apart.
    pub(super) fn own_end(&self) -> Option<usize> {
        let is_small = u32::try_from(self.high.wrapping_sub(self.low)).is_ok();
        (self.is_own && is_small).then_some(self.high)
    }

    /// The bytes from `stack_pointer` up to the end.
    #[inline(always)]
    pub(super) fn bytes_above(&self, stack_pointer: usize) -> u32 {
        self.high.wrapping_sub(stack_pointer) as u32
    }

    /// The inverse of [`bytes_above`](Self::bytes_above).
    pub(super) fn stack_pointer(&self, bytes_above: u32) -> usize {
        self.high.wrapping_sub(bytes_above as usize)
    }

    /// The word below the stack pointer that has `bytes_above` above it, if that word is on this stack.
    #[inline(always)]
    pub(super) fn read_above(&self, bytes_above: u32) -> Option<usize> {
        let span = self.high.wrapping_sub(self.low);
        let address = self.stack_pointer(bytes_above).wrapping_sub(WORD_BYTES);
        (bytes_above as usize <= span.wrapping_sub(WORD_BYTES)).then(|| read_word(address))
    }

    /// The word at `address`, if that is known to be on this stack.
    #[inline(always)]
    pub(super) fn read_known(&self, address: usize) -> Option<usize> {
        (address >= self.low && address <= self.high.wrapping_sub(WORD_BYTES)).then(|| read_word(address))
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
        Some(read_word(address))
    }

    /// The word at `address`, which is not below the stack pointer, if it is known to be on this stack.
    #[inline(always)]
    pub(super) fn read_upwards(&self, address: usize) -> Option<usize> {
        (address <= self.high.wrapping_sub(WORD_BYTES)).then(|| read_word(address))
    }

    /// A word beyond what is known to be there: the next page, if it can be read.
    #[cold]
    fn read_beyond(&mut self, address: usize) -> Option<usize> {
        let page = address & !(PAGE_BYTES - 1);
        let is_next = page == self.high && address.is_multiple_of(WORD_BYTES);
        // A frame that is larger than a page skips some.
        let is_near = page > self.high && page.wrapping_sub(self.high) < 1 << 20;
        if !(is_next || is_near && address.is_multiple_of(WORD_BYTES)) || !is_readable(page) {
            return None;
        }
        if is_next {
            self.high = page.wrapping_add(PAGE_BYTES);
        }
        Some(read_word(address))
    }
}

#[inline(always)]
fn read_word(address: usize) -> usize {
    // SAFETY: the callers checked that the word is mapped: it is above the stack pointer on the thread's own stack, or on a
    // page that the kernel has just read. The functions that own the frames there do not run meanwhile, so nobody writes to
    // them. What is taken for a saved register is only compared and looked up.
    unsafe { std::ptr::with_exposed_provenance::<usize>(address).read_unaligned() }
}

#[cfg(test)]
impl StackMemory {
    /// As if `words`, which live on longer than this, were the thread's own stack, up to its end.
    pub(super) fn of_words(words: &[usize]) -> StackMemory {
        let low = words.as_ptr().expose_provenance();
        StackMemory { low, high: low + size_of_val(words), is_own: true }
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
            [0, 8, 16, 24].map(|above| memory.read_above(above)),
            [Some(33), Some(22), Some(11), None]
        );
        assert_eq!(memory.read_above(u32::MAX), None);
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
        // SAFETY: the last page of that mapping.
        assert_eq!(unsafe { libc::mprotect(last, PAGE_BYTES, libc::PROT_NONE) }, 0);
        let mut memory = StackMemory::of_interrupted(page(1) - 16).unwrap();
        assert_eq!((memory.own_end(), memory.read_known(page(1))), (None, None));
        assert_eq!(memory.read(page(2) + 8), Some(0), "a page may be skipped");
        assert_eq!(memory.read(page(1)), Some(0));
        assert_eq!(memory.read_known(page(2) - 8), Some(0), "the next page is known now");
        assert_eq!(memory.read(page(2) + 1), None, "beyond what is known, only aligned words are read");
        assert_eq!(memory.read(page(2)), Some(0));
        assert_eq!((memory.read(page(3)), memory.read(page(0))), (None, None));
        assert!(StackMemory::of_interrupted(page(3)).is_none());
        assert!(StackMemory::of_interrupted(usize::MAX - 7).is_none());
        // SAFETY: the mapping of our own, which nobody uses any more.
        assert_eq!(unsafe { libc::munmap(start, 4 * PAGE_BYTES) }, 0);
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
