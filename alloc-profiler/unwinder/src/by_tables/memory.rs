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

    /// The stack of code that was interrupted, or that a table claims to be on another stack, from its `stack_pointer` up.
    /// `None`: there is nothing that can be read.
    pub(super) fn of_interrupted(stack_pointer: usize) -> Option<StackMemory> {
        let memory = StackMemory::of_thread(stack_pointer);
        (memory.is_own || is_readable(stack_pointer & !(PAGE_BYTES - 1))).then_some(memory)
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

    /// The word below the stack pointer with so many bytes above it, if that is on this stack.
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
    // SAFETY: the callers checked that the word is mapped: above the stack pointer on the thread's own stack, or
    // on a page that the kernel just read. Frames above ours do not run meanwhile, so nobody writes them; and
    // what we take for a saved register is only compared and looked up.
    unsafe { std::ptr::with_exposed_provenance::<usize>(address).read_unaligned() }
}
