//! This is the door to the walks that are remembered: it says which of them a walk is compared with, and what a caller
//! attaches to one.

use std::num::NonZeroUsize;

/// Which earlier walks a walk is compared with, instead of finding each frame anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// No walk is remembered.
    Nothing,
    /// The last walk of the thread: what the two have in common is taken over.
    LastWalk,
    /// The last walk of the thread, and 64 whole walks: where one of these is met again, the walk is its [`Cookie`] and has
    /// no frames. It pays where stacks are taken so often that they repeat while they are remembered.
    WholeWalks,
}

/// What a caller attaches to a walk, and gets back when the same walk is met again. It means nothing to this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie(pub NonZeroUsize);
