//! The call stack of a sampled allocation: the one seam behind which unwinders change.
//!
//! `capture` is called with no profiler lock held and with sampling paused, so what an unwinder allocates is
//! neither sampled nor able to recurse. It keeps the leaf side and never fails: a stack that cannot be read is
//! empty, one that is too deep is cut and says so.
//!
//! Path: *allocation path*, sampled allocations only.

use std::mem::MaybeUninit;

use crate::alone::Alone;
use crate::stacks::Stack;

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod dwarf;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod known;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod objects;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod recent;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod registers;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod rules;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod segments;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod tables;

#[cfg(all(unix, not(target_env = "musl")))]
mod fallback;

/// Frames kept of a stack, leaf side first; what lies beyond is cut, and counted.
pub const MAX_STACK_DEPTH: usize = 128;

/// Room for return addresses, on the stack of the allocating thread. (By itself, not in a struct with other
/// fields: then the compiler would clear it, which takes as long as to unwind some frames.)
pub(crate) type Room = [MaybeUninit<usize>; MAX_STACK_DEPTH];

/// Of no return address.
pub(crate) const EMPTY_HASH: u64 = 1;

/// The hash of some return addresses and one more within.
#[inline(always)]
const fn add_to_hash(hash: u64, return_address: usize) -> u64 {
    (hash.rotate_left(5) ^ return_address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Return addresses, in place: the innermost is found first and stands last.
pub(crate) struct Frames<'a> {
    /// The last `depth` are initialised.
    return_addresses: &'a mut Room,
    depth: usize,
    is_truncated: bool,
    /// There are callers beyond that could not be told.
    is_cut: bool,
    /// If it is known already.
    hash: Option<u64>,
    /// The stack that they are, if that is known: then they are not in place.
    stack: Option<&'static Stack>,
}

impl<'a> Frames<'a> {
    #[inline(always)]
    pub(crate) fn new(room: &'a mut Room) -> Frames<'a> {
        Frames {
            return_addresses: room,
            depth: 0,
            is_truncated: false,
            is_cut: false,
            hash: None,
            stack: None,
        }
    }

    /// Where on the stack the room is.
    fn room_address(&self) -> usize {
        self.return_addresses.as_ptr().addr()
    }

    /// False: full, stop unwinding.
    #[inline(always)]
    fn push(&mut self, return_address: usize) -> bool {
        match self.place(self.depth) {
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

    /// The place of the frame with so many within.
    #[inline(always)]
    fn place(&mut self, within: usize) -> Option<&mut MaybeUninit<usize>> {
        self.return_addresses.get_mut(MAX_STACK_DEPTH.checked_sub(1)?.checked_sub(within)?)
    }

    /// Adds frames beyond, outermost first, if there is room for them.
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    #[inline(always)]
    fn extend(&mut self, beyond: &[usize]) {
        let end = MAX_STACK_DEPTH.saturating_sub(self.depth);
        if let Some(places) = self.return_addresses.get_mut(end.wrapping_sub(beyond.len())..end) {
            for (place, &return_address) in places.iter_mut().zip(beyond) {
                place.write(return_address);
            }
            self.depth = self.depth.wrapping_add(beyond.len());
        }
    }

    /// Notes which library the last return address is in.
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    fn tag_last(&mut self, tag: usize) {
        let last = self.depth.checked_sub(1).and_then(|within| self.place(within));
        if let Some(place) = last {
            // SAFETY: the last `depth` are initialised.
            let address = unsafe { place.assume_init() };
            place.write(crate::libraries::tagged(address, tag));
        }
    }

    /// Outermost first.
    #[inline(always)]
    pub(crate) fn return_addresses(&self) -> &[usize] {
        if let Some(stack) = self.stack {
            return stack.return_addresses;
        }
        let initialised =
            self.return_addresses.get(MAX_STACK_DEPTH.saturating_sub(self.depth)..).unwrap_or(&[]);
        // SAFETY: `push`, `extend` and `Recent::run_to_known` alone raise `depth`, by the elements that they wrote.
        unsafe { std::slice::from_raw_parts(initialised.as_ptr().cast(), initialised.len()) }
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Whether callers beyond could not be told, by nothing that the program says of them.
    #[inline(always)]
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The stack that they are, if it was found on the way.
    #[inline(always)]
    pub(crate) fn stack(&self) -> Option<&'static Stack> {
        self.stack
    }

    /// Of the return addresses.
    #[inline(always)]
    pub(crate) fn hash(&self) -> u64 {
        let add = |hash, &return_address: &usize| add_to_hash(hash, return_address);
        self.hash.unwrap_or_else(|| self.return_addresses().iter().fold(EMPTY_HASH, add))
    }
}

/// Makes the better unwinder ready, where there is one. Called by whatever the program calls of ours, never on
/// the allocation path.
pub(crate) fn prepare() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64", not(elsewhere)))]
    {
        dwarf::prepare();
        memory::prepare();
    }
}

/// Forgets what is half known after a fork.
pub(crate) fn begin_anew(alone: &Alone) {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    recent::begin_anew(alone);
    #[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
    let _ = alone;
}

/// Whether enough is left of the stack that we are on to find out what called us, as far as can be told.
#[inline(never)]
pub(crate) fn has_room() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64", not(elsewhere)))]
    return memory::has_room(registers::Registers::here().stack_pointer);
    #[cfg(any(elsewhere, not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))))]
    true
}

/// Fills `frames` with the calling stack, from the caller of the function that the room of `frames` is a local of.
///
/// Frames are told apart by their place on the stack, not counted: how many lie between is the optimiser's
/// business. On targets without an unwinder that is safe inside an allocator, stacks stay empty and totals are
/// right: musl's takes the loader's lock, and Windows' is not thread-safe.
#[inline(always)]
pub(crate) fn capture(frames: &mut Frames<'_>) {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    if dwarf::is_ready() {
        return dwarf::unwind(frames, registers::Registers::here());
    }
    #[cfg(all(unix, not(target_env = "musl"), not(elsewhere = "musl")))]
    fallback::unwind(frames);
}

/// Looks up some addresses in tables that the fuzzer made.
#[cfg(all(fuzzing, target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
pub(crate) fn fuzz_tables(bytes: &[u8]) {
    tables::fuzz(bytes);
}

/// Fills `ours` and `platforms` by the two unwinders.
#[inline(always)]
pub(crate) fn capture_both(ours: &mut Frames<'_>, platforms: &mut Frames<'_>) {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    {
        dwarf::prepare();
        dwarf::unwind(ours, registers::Registers::here());
    }
    #[cfg(all(unix, not(target_env = "musl")))]
    fallback::unwind(platforms);
}
