//! Words that point to blocks, and what each is part of.

use crate::block::wipe;
use crate::region::Root;

/// What a way from a root costs: first what makes it doubtful, then its length.
pub(crate) const LENGTH_BITS: u32 = 32;
/// What holds a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Node(u32),
    Root(Root),
    RunningStack(u32),
    /// A word in a block that was not sampled, or in free memory.
    Unsampled,
}

/// One word that points to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) node: u32,
    pub(crate) holder: Holder,
    /// This is the number of the word.
    pub(crate) edge: u32,
}

/// What a node is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Its site; `None` if it was not sampled.
    pub(crate) site: Option<u32>,
    /// Not all words that point to it are known.
    pub(crate) is_cut: bool,
}

/// A variant that uses all of its room. The others leave in theirs what was in a register, and that may be a pointer.
pub(crate) const WIPED: Holder = Holder::Root(Root::Static(0));

/// These are all words, each with what it is part of.
pub(crate) struct Holds(Vec<Hold>);

impl Holds {
    /// Collects at most `most` holds. The list has its size from the start: a list that grows leaves a copy behind.
    pub(crate) fn collect(most: usize, holds: impl Iterator<Item = Hold>) -> Holds {
        let mut list = Vec::with_capacity(most);
        list.extend(holds.take(most));
        Holds(list)
    }
}

impl std::ops::Deref for Holds {
    type Target = [Hold];

    fn deref(&self) -> &[Hold] {
        &self.0
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        wipe(&mut self.0, Hold { node: 0, holder: WIPED, edge: 0 });
    }
}
