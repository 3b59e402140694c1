//! A number that each thread carries: what it works for at the moment. What the number means is the caller's business.
//!
//! The number is one word of the thread's own, beside the thread's number in the kernel. So a signal handler reads it like
//! any other variable, and another thread can tell from a copy of the word whether it still is that thread's.
//!
//! Cost: a change is one load, one branch and one store; the first change in a thread makes some system calls more. A program
//! that never sets a label pays nothing.

#[cfg(all(by_tables, not(miri)))]
mod by_word;
#[cfg(not(all(by_tables, not(miri))))]
mod elsewhere;
#[cfg(all(by_tables, not(miri)))]
mod threads;

#[cfg(all(by_tables, not(miri)))]
use by_word as word;
#[cfg(not(all(by_tables, not(miri))))]
use elsewhere as word;

/// Returns the label of the calling thread. It is 0 in a thread that has none.
///
/// A signal handler may call this where walks are by unwind tables: there it makes no call.
#[inline(always)]
#[must_use]
pub fn current() -> u32 {
    word::load() as u32
}

/// Gives the calling thread another label, and returns the one that it had.
#[inline(always)]
pub fn replace(label: u32) -> u32 {
    let found = word::load();
    if found >> 32 == 0 {
        word::meet_thread();
    }
    word::store(label);
    found as u32
}

/// Gives back to the calling thread a label that [`replace`] has returned in it.
#[inline(always)]
pub fn restore(label: u32) {
    // mutant: E40 a label stays after its scope
    word::store(label);
}

/// Returns where the word of another thread is, for a reader that copies memory without a fault, since the thread may end at
/// any time. `None`: the thread never had a label. [`of_word`] tells what the copy says.
#[must_use]
pub fn word_of(thread_id: u32) -> Option<usize> {
    #[cfg(all(by_tables, not(miri)))]
    return threads::word_of(thread_id);
    #[cfg(not(all(by_tables, not(miri))))]
    {
        let _ = thread_id;
        None
    }
}

/// Returns the label that a copy of a thread's word says. `None`: it is not the word of this thread any more.
#[must_use]
pub fn of_word(word: u64, thread_id: u32) -> Option<u32> {
    // mutant: E40 a thread that has ended lends its label to another
    ((word >> 32) as u32 == thread_id).then_some(word as u32)
}

/// Has the one thread of a child of `fork` be known by its new number. The label stays. It takes no lock.
#[cfg(by_tables)]
pub(crate) fn begin_anew() {
    #[cfg(not(miri))]
    {
        threads::begin_anew();
        if word::load() >> 32 != 0 {
            word::meet_thread();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_thread_s_own() {
        let before = replace(7);
        assert_eq!(current(), 7);
        let other = std::thread::spawn(|| {
            let first = (current(), replace(9));
            (first, current())
        });
        assert_eq!(other.join().unwrap(), ((0, 0), 9));
        restore(before);
        assert_eq!((before, current()), (0, 0));
    }

    /// A reader from outside finds the word of a living thread, and knows the word of another one by its number.
    #[cfg(all(by_tables, not(miri)))]
    #[test]
    fn a_word_tells_whose_it_is() {
        assert_eq!((of_word(5 << 32 | 6, 5), of_word(5 << 32 | 6, 4)), (Some(6), None));
        let found = std::thread::spawn(|| {
            replace(77);
            // SAFETY: it asks for a number.
            let thread_id = unsafe { libc::gettid() } as u32;
            let address = word_of(thread_id).unwrap();
            // SAFETY: this is the word of this very thread.
            let word = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() };
            of_word(word, thread_id)
        });
        assert_eq!(found.join().unwrap(), Some(77));
        assert_eq!(word_of(u32::MAX), None);
    }
}
