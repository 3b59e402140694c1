//! What keeps blocks of memory alive: a search of the process's own memory for the pointers to them, and for the pointers to what
//! has these.
//!
//! ```text
//! sampled blocks ─▶ pass over memory ─▶ words that point to them ─▶ what each word is part of
//!   ─▶ passes for the blocks in between that were not sampled ─▶ the best way from a root ─▶ chain of each target
//! ```
//!
//! # What it promises
//!
//! - **Nothing faults**: memory is only ever copied, by a system call that returns an error where nothing is mapped.
//! - **No page becomes resident**: pages that are swapped out, or were never touched, are left out.
//! - **Bounds**: tables of at most 16 MiB, and the time that [`Pace`] says.
//! - **A second look**: what a chain goes by is read once more at the end. A block is called lost after two passes that found
//!   no word.
//!
//! # What it cannot know
//!
//! A word that looks like a pointer is taken for one. Where a word was left behind, on a stack or in a buffer, a block may seem to be
//! held that is not: [`Chain::may_be_stale`]. A block that is held by a number (an index, a compressed or masked pointer) seems to be
//! lost.

#![forbid(unsafe_code)]

mod allocator;
mod block;
mod chain;
mod chunk;
mod chunks;
mod climb;
mod doubt;
mod edges;
mod error;
mod extents;
mod forks;
mod graph;
mod hold;
mod origins;
mod pages;
mod pass;
mod region;
mod search;
mod slots;
mod thread_pointers;

pub use block::Block;
pub use chain::{Chain, End, Link, Word};
pub use error::Failure;
pub use forks::Fork;
pub use origins::{Finder, Origin, Origins, Reached, origins};
pub use pages::{PAGE_BYTES, PageMap, Pages};
pub use pass::Pace;
pub use region::{Region, RegionKind, Root, Thread};
pub use search::{Found, Scene, search};
