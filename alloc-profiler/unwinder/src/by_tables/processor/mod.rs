//! What differs between processors, in one file for each: which registers a walk follows, where a function keeps its return
//! address, and what the kernel puts on the stack for a signal's handler. (What instructions look like is in `calls`.)
//!
//! Each file has the same items. What a processor does not have is an empty struct or a constant there, and costs nothing.
//!
//! Path: *allocation path* and *signal handlers*.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::*;

/// The registers of a function, as they are while it runs.
pub(super) struct Here {
    pub(super) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    pub(super) link: Link,
}

/// The code that a signal's handler returns to, and where the interrupted registers are above the stack pointer there, in bytes.
/// The kernel's interface fixes all of that.
pub(super) struct SignalFrame {
    /// The instructions that ask the kernel to go on with what was interrupted.
    pub(super) trampoline: &'static [u8],
    pub(super) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    /// Of the register that holds return addresses, where there is one.
    pub(super) link: Option<usize>,
}
