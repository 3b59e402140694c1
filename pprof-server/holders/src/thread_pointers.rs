//! Where the records of threads are, by which their stacks and variables are told.

use crate::pass::{Passes, RawWord};
use crate::region::Thread;

/// So many words may be thread pointers.
const MAX_POINTERS: usize = 64 << 10;
/// Where glibc's record of a thread has its own address once more, and the number of the thread.
const SELF_OFFSET: u64 = 16;
const THREAD_ID_OFFSET: u64 = 0x2d0;

/// Words that hold their own address twice, as the records of threads do.
#[derive(Default)]
pub(crate) struct Candidates(Vec<u64>);

impl Candidates {
    /// Notes the word with this index if it is one. `address` is where it lies.
    #[inline(always)]
    pub(crate) fn look(&mut self, words: &[RawWord], index: usize, address: u64) {
        let own = address.to_ne_bytes();
        if words[index] == own && words.get(index + 2) == Some(&own) && self.0.len() < MAX_POINTERS {
            self.0.push(address);
        }
    }

    /// Tells which of them begin the record of a thread: their addresses, ascending, each with the index of its thread.
    pub(crate) fn thread_pointers(&self, passes: &Passes<'_>, threads: &[Thread]) -> Vec<(u64, usize)> {
        let thread = |&pointer: &u64| {
            let id = passes.word(pointer + THREAD_ID_OFFSET)? as u32;
            let thread = threads.iter().position(|thread| thread.id == id)?;
            (passes.word(pointer + SELF_OFFSET) == Some(pointer)).then_some((pointer, thread))
        };
        let mut found: Vec<(u64, usize)> = self.0.iter().filter_map(thread).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
