//! C's allocations are sampled too, in a program that asks for it: its `malloc` and the functions beside it are ours then.
//!
//! A program that defines functions of these names is asked for all memory that C and C++ code allocates in it: that of its own
//! libraries, of those that are opened later, and of the C library itself ([`define_malloc!`](crate::define_malloc)). The functions
//! count down like a [`SamplingAllocator`](crate::SamplingAllocator) and call the allocator below ([`CAllocator`](crate::CAllocator)). Rust's own
//! allocations must not come by here, or they would be counted twice: [`CLibrary`](crate::CLibrary) leads them past.
//!
//! ```text
//! Box, Vec     ─▶ SamplingAllocator ─▶ CLibrary ─┬─▶ __libc_malloc
//! malloc, new  ─▶ the program's malloc ──────────┘
//!                  └─▶ functions: counted down, perhaps sampled ─▶ recorder, as C's
//! ```
//!
//! Path: *allocation path*; [`c_allocations`] and [`prepare`] are called by the program.

mod check;
mod define;
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
pub mod functions;

pub use check::{CAllocations, c_allocations};

/// A program that has these functions calls this before the constructors of all libraries. From then on, stacks are taken by our own
/// unwinder, which takes no lock that a caller of `malloc` may have.
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
pub extern "C" fn prepare() {
    crate::control::prepare();
}
