//! What a stack that waits or wakes is about, by the names of its functions.
//!
//! Path: *read path*.

use crate::profile::{Location, Stacks};
use capture::LockWord;

/// Where the threads of runtimes wait while they have nothing to do.
const IDLE: [&str; 7] = [
    "tokio::runtime::park::",
    "tokio::runtime::scheduler::multi_thread::park::",
    "tokio::runtime::scheduler::multi_thread::worker::Context::park",
    "tokio::runtime::blocking::pool::Inner::run",
    "tokio::runtime::time::Driver::park",
    "rayon_core::sleep::",
    "rayon_core::latch::",
];

/// Functions that give a lock back.
const UNLOCKS: [&str; 7] = [
    "std::sys::sync::mutex::futex::Mutex::",
    "std::sys::sync::rwlock::futex::RwLock::",
    "<std::sync::poison::mutex::MutexGuard",
    "<std::sync::poison::rwlock::RwLock",
    "parking_lot::raw_mutex::RawMutex::unlock",
    "parking_lot::raw_rwlock::RawRwLock::unlock",
    "<lock_api::",
];

/// Functions that wake others and are no locks.
const OTHER_WAKES: [&str; 7] = [
    "std::sys::sync::condvar::",
    "std::sys::sync::once::",
    "std::sys::sync::thread_parking::",
    "std::thread::Thread::unpark",
    "std::thread::thread::Thread::unpark",
    "parking_lot::condvar::",
    "parking_lot::once::",
];

/// Functions that wait for a lock of the standard library.
const LOCKS: [&str; 2] = ["std::sys::sync::mutex::futex::Mutex::", "std::sys::sync::rwlock::futex::RwLock::"];

/// Functions that wait for something else, with values that may look like those of a lock.
const OTHER_WAITS: [&str; 6] = [
    "std::sys::sync::condvar::",
    "std::sys::sync::once::",
    "std::sys::sync::thread_parking::",
    "std::thread::park",
    "parking_lot",
    "std::sync::barrier::",
];

/// Whether a thread waits there for a lock of the standard library. The innermost function that is known says so; where none is
/// known, what was waited on must do.
pub(super) fn is_lock(stacks: &Stacks, stack: usize) -> bool {
    let by_name = first_of(stacks, stack, |name| {
        if is_any(name, &LOCKS) { Some(true) } else { is_any(name, &OTHER_WAITS).then_some(false) }
    });
    by_name.unwrap_or(true)
}

/// Whether a thread of a runtime waits there for work.
pub(super) fn is_idle(stacks: &Stacks, stack: usize) -> bool {
    first_of(stacks, stack, |name| is_any(name, &IDLE).then_some(())).is_some()
}

/// Whether a wake gives a lock back. The innermost function that is known says so; where none is known, what was waited on.
pub(super) fn is_unlock(stacks: &Stacks, stack: usize, word: LockWord) -> bool {
    let by_name = first_of(stacks, stack, |name| {
        if is_any(name, &UNLOCKS) { Some(true) } else { is_any(name, &OTHER_WAKES).then_some(false) }
    });
    by_name.unwrap_or(matches!(word, LockWord::Mutex | LockWord::RwLock | LockWord::One))
}

fn is_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns what `judge` says of the first function that it knows, from the leaf outwards.
fn first_of<T>(stacks: &Stacks, stack: usize, judge: impl Fn(&str) -> Option<T>) -> Option<T> {
    stacks.places(stack).iter().find_map(|&place| {
        let lines = stacks.lines(Location { place, skipped_lines: 0 });
        lines.iter().find_map(|line| judge(&line.function.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::{role::Role, synthetic_line};
    use alloc_profiler::StackTrace;

    #[test]
    fn the_innermost_known_function_decides() {
        let names = [
            "std::sys::sync::mutex::futex::Mutex::wake",
            "std::sys::sync::condvar::futex::Condvar::notify_one",
            "tokio::runtime::park::Inner::park",
            "my::function",
        ];
        let line = |address: u64| [synthetic_line(names[address as usize / 16 - 1], Role::User)].into();
        let traces = [[0x11, 0x21, 0x41], [0x21, 0x11, 0x41], [0x41, 0x31, 0x41], [0x41, 0x41, 0x41]]
            .map(StackTrace::of_return_addresses);
        let stacks = Stacks::fixed(traces.iter(), line);
        assert!(is_unlock(&stacks, 0, LockWord::Other) && !is_unlock(&stacks, 1, LockWord::Mutex));
        assert!(is_unlock(&stacks, 3, LockWord::Mutex) && !is_unlock(&stacks, 3, LockWord::Parker));
        assert_eq!([0, 1, 2, 3].map(|stack| is_lock(&stacks, stack)), [true, false, true, true]);
        assert_eq!([0, 1, 2, 3].map(|stack| is_idle(&stacks, stack)), [false, false, true, false]);
    }
}
