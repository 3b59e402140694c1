//! Where the records of threads are, by which their stacks and variables are told.

use crate::pass::{Passes, RawWord};
use crate::region::Thread;

/// So many words may be thread pointers.
const MAX_POINTERS: usize = 64 << 10;
/// Where glibc's record of a thread on x86-64 has its own address once more, and the number of the thread.
const SELF_OFFSET: u64 = 16;
const THREAD_ID_OFFSET: u64 = 0x2d0;
/// Where musl's record of a thread on x86-64 has the addresses of the records of the threads before and after this one, and the number of
/// the thread, which is followed by the thread's `errno`.
const MUSL_PREVIOUS_OFFSET: u64 = 16;
const MUSL_NEXT_OFFSET: u64 = 24;
const MUSL_THREAD_ID_OFFSET: u64 = 48;
/// The kernel gives no thread a larger number, and no error either.
const MAX_THREAD_ID: u64 = 1 << 22;
const MAX_ERROR: u64 = 4095;

/// Words that hold their own address, in what may be the record of a thread.
#[derive(Default)]
pub(crate) struct Candidates(Vec<u64>);

impl Candidates {
    /// Notes the word with this index if it is one. `address` is where it lies.
    #[inline(always)]
    pub(crate) fn look(&mut self, words: &[RawWord], index: usize, address: u64) {
        let own = address.to_ne_bytes();
        // Nearly all words end here.
        if words[index] == own
            && self.0.len() < MAX_POINTERS
            && (words.get(index + 2) == Some(&own) || may_be_musl(&words[index..]))
        {
            self.0.push(address);
        }
    }

    /// Tells which of them begin the record of a thread: their addresses, ascending, each with the index of its thread.
    pub(crate) fn thread_pointers(&self, passes: &Passes<'_>, threads: &[Thread]) -> Vec<(u64, usize)> {
        let thread = |&pointer: &u64| {
            let thread_at = |offset: u64| {
                let id = passes.word(pointer + offset)? as u32;
                threads.iter().position(|thread| thread.id == id)
            };
            let has_own_address_twice = passes.word(pointer + SELF_OFFSET) == Some(pointer);
            let by_glibc = || has_own_address_twice.then(|| thread_at(THREAD_ID_OFFSET)).flatten();
            let is_in_list = || {
                let previous = passes.word(pointer + MUSL_PREVIOUS_OFFSET)?;
                Some(passes.word(previous.checked_add(MUSL_NEXT_OFFSET)?)? == pointer)
            };
            let by_musl =
                || is_in_list().filter(|&is_in| is_in).and_then(|_| thread_at(MUSL_THREAD_ID_OFFSET));
            Some((pointer, by_glibc().or_else(by_musl)?))
        };
        let mut found: Vec<(u64, usize)> = self.0.iter().filter_map(thread).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether these words may begin a record of musl's.
fn may_be_musl(words: &[RawWord]) -> bool {
    let word = |index: usize| words.get(index).copied().map_or(0, u64::from_ne_bytes);
    let is_address = |address: u64| address != 0 && address.is_multiple_of(8);
    let thread = word(MUSL_THREAD_ID_OFFSET as usize / 8);
    let (id, error) = (thread & 0xffff_ffff, thread >> 32);
    is_address(word(2)) && is_address(word(3)) && (1..=MAX_THREAD_ID).contains(&id) && error <= MAX_ERROR
}
