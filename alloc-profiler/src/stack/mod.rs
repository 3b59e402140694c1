//! The call stack of a sampled allocation: the one seam behind which unwinders change.
//!
//! `capture` is called with no profiler lock held and with sampling paused, so what an unwinder allocates is
//! neither sampled nor able to recurse. It keeps the leaf side and never fails: a stack that cannot be read is
//! empty, one that is too deep is cut and says so.
//!
//! Path: *allocation path*, sampled allocations only.

use std::mem::MaybeUninit;

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod dwarf;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod objects;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod registers;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod rules;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod tables;

#[cfg(all(unix, not(target_env = "musl")))]
mod fallback;

/// Frames kept of a stack, leaf side first; what lies beyond is cut, and counted.
pub const MAX_STACK_DEPTH: usize = 128;

/// Return addresses, leaf first, in place: filled on the stack of the allocating thread.
pub(crate) struct Frames {
    /// The first `depth` are initialised. (To clear a kilobyte takes as long as to unwind a few frames.)
    return_addresses: [MaybeUninit<usize>; MAX_STACK_DEPTH],
    depth: usize,
    is_truncated: bool,
}

impl Frames {
    #[inline(always)]
    pub(crate) fn new() -> Frames {
        // Not a constant: that would be copied or cleared, uninitialised or not.
        Frames { return_addresses: [MaybeUninit::uninit(); MAX_STACK_DEPTH], depth: 0, is_truncated: false }
    }

    /// False: full, stop unwinding.
    #[inline(always)]
    fn push(&mut self, return_address: usize) -> bool {
        match self.return_addresses.get_mut(self.depth) {
            Some(place) => {
                place.write(return_address);
                self.depth = self.depth.wrapping_add(1);
                true
            }
            None => {
                self.is_truncated = true;
                false
            }
        }
    }

    pub(crate) fn return_addresses(&self) -> &[usize] {
        let initialised = self.return_addresses.get(..self.depth).unwrap_or(&[]);
        // SAFETY: `push` and `Walk::run` alone raise `depth`, by the elements that they wrote.
        unsafe { std::slice::from_raw_parts(initialised.as_ptr().cast(), initialised.len()) }
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }
}

/// Makes the better unwinder ready, where there is one. Called by whatever the program calls of ours, never on
/// the allocation path.
pub(crate) fn prepare() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    dwarf::prepare();
}

/// Fills `frames` with the calling stack, from the caller of the function that `frames` is a local of.
///
/// Frames are told apart by their place on the stack, not counted: how many lie between is the optimiser's
/// business. On targets without an unwinder that is safe inside an allocator, stacks stay empty and totals are
/// right: musl's takes the loader's lock, and Windows' is not thread-safe.
#[inline(always)]
pub(crate) fn capture(frames: &mut Frames) {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    if dwarf::is_ready() {
        return dwarf::unwind(frames);
    }
    #[cfg(all(unix, not(target_env = "musl")))]
    fallback::unwind(frames);
}

/// By either unwinder, from the caller of the caller of this.
#[inline(never)]
pub(crate) fn capture_both() -> (Frames, Frames) {
    let (mut ours, mut platforms) = (Frames::new(), Frames::new());
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    {
        dwarf::prepare();
        dwarf::unwind(&mut ours);
    }
    #[cfg(all(unix, not(target_env = "musl")))]
    fallback::unwind(&mut platforms);
    (ours, platforms)
}
