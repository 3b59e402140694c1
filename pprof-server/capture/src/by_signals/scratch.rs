//! Stacks of our own that the handler walks on.
//!
//! A walk needs up to 6 KiB of stack, 20 in builds without optimisation. The standard library's stacks for signals have
//! 8 KiB, of which the kernel's own record takes 1 to 11, and the stack that was interrupted may be at its end. So the
//! handler claims one of these, and goes back to where it was when the walk is done. Where none is free, it does without.
//!
//! Path: *signal handlers*.

use std::arch::naked_asm;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// How many handlers can walk at the same moment. A handler may lose the processor during its walk, so there are more than
/// most machines have processors.
pub(super) const STACKS: usize = 64;
const STACK_BYTES: usize = 64 << 10;
pub(super) const GUARD_BYTES: usize = 4096;

/// A stack with a page below it that nobody may touch.
#[repr(C, align(4096))]
pub(super) struct ScratchStack {
    pub(super) guard: UnsafeCell<[u8; GUARD_BYTES]>,
    memory: UnsafeCell<[u8; STACK_BYTES]>,
}

// SAFETY: a stack is used by whoever has claimed it.
unsafe impl Sync for ScratchStack {}

/// Zeroed memory is a pool of which all is free.
#[repr(C)]
pub(super) struct ScratchStacks {
    pub(super) stacks: [ScratchStack; STACKS],
    /// A bit for each stack that is in use.
    used: AtomicU64,
}

/// A stack that nobody else has.
pub(super) struct Claimed<'a> {
    stacks: &'a ScratchStacks,
    index: u32,
}

impl ScratchStacks {
    /// A stack, the first that is free, so that few of them are ever backed by memory. `None`: all are in use, or others
    /// were faster.
    pub(super) fn claim(&self) -> Option<Claimed<'_>> {
        for _ in 0..STACKS {
            let index = self.used.load(Relaxed).trailing_ones();
            if index as usize >= STACKS {
                break;
            }
            let bit = 1_u64.wrapping_shl(index);
            if self.used.fetch_or(bit, Acquire) & bit == 0 {
                return Some(Claimed { stacks: self, index });
            }
        }
        None
    }
}

impl Claimed<'_> {
    /// Returns how many bytes were ever used, as far as they are not zero.
    pub(super) fn used_bytes(&self) -> usize {
        let Some(stack) = self.stacks.stacks.get(self.index as usize) else { return 0 };
        // SAFETY: nobody else has this stack, and nothing runs on it now.
        let memory = unsafe { &*stack.memory.get() };
        memory.iter().position(|byte| *byte != 0).map_or(0, |first| STACK_BYTES - first)
    }

    /// Runs `work` on this stack. It must not unwind.
    #[inline(always)]
    pub(super) fn run<T>(&self, work: extern "C" fn(&mut T), argument: &mut T) {
        let Some(stack) = self.stacks.stacks.get(self.index as usize) else { return };
        // The stack grows downwards, from its end, which is aligned to pages.
        let end = stack.memory.get().cast::<u8>().wrapping_add(STACK_BYTES);
        // SAFETY: nobody else has this stack, `work` takes what `argument` is, and both live until it has returned.
        // mutant: E4 walks are done on the stack for signals
        unsafe { run_on(end, work as *const (), std::ptr::from_mut(argument).cast()) }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.stacks.used.fetch_and(!1_u64.wrapping_shl(self.index), Release);
    }
}

/// Calls `work(argument)` with the stack pointer at `end`.
///
/// # Safety
///
/// `end` is the end of a stack that nobody uses, aligned to 16 bytes. `work` is a function of the C ABI that takes a pointer,
/// for which `argument` is valid, and does not unwind.
#[unsafe(naked)]
unsafe extern "C" fn run_on(end: *mut u8, work: *const (), argument: *mut ()) {
    // The directives tell debuggers how to go on from the scratch stack to the one before.
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn where_it_runs(found: &mut usize) {
        let here = 0_u8;
        *found = (&raw const here).addr();
    }

    #[test]
    fn work_runs_on_the_stack_that_was_claimed_and_all_can_be_claimed() {
        let stacks = std::alloc::Layout::new::<ScratchStacks>();
        // SAFETY: zeroed memory is a pool, of that layout.
        let stacks = unsafe { Box::from_raw(std::alloc::alloc_zeroed(stacks).cast::<ScratchStacks>()) };
        let claimed: Vec<_> = (0..STACKS).map(|_| stacks.claim().unwrap()).collect();
        assert!(stacks.claim().is_none());
        let mut places: Vec<usize> = claimed
            .iter()
            .map(|stack| {
                let mut place = 0;
                stack.run(where_it_runs, &mut place);
                let memory = stacks.stacks[stack.index as usize].memory.get().addr();
                assert!((memory..memory + STACK_BYTES).contains(&place));
                place
            })
            .collect();
        places.dedup_by_key(|place| *place / STACK_BYTES);
        assert_eq!(places.len(), STACKS);
        drop(claimed);
        assert_eq!(stacks.claim().unwrap().index, 0, "free again, and the first one first");
    }
}
