//! What a stack that waits or wakes is about, by the names of its functions.
//!
//! Path: *read path*.

use crate::profile::{Location, Stacks};
use crate::symbols::SourceLine;
use crate::symbols::role::{Role, is_system_call};
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

/// These crates have locks.
const LOCKS_OF_CRATES: [&str; 4] = ["parking_lot", "<parking_lot", "lock_api", "<lock_api"];

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

/// Whether a thread of a runtime waits there for work. The functions of the runtime are on the stack of whatever a task waits for, so
/// the innermost function decides that is neither the standard library's nor a lock's.
pub(super) fn is_idle(stacks: &Stacks, stack: usize) -> bool {
    let judge = |line: &SourceLine| {
        let name = &*line.function.name;
        if is_any(name, &LOCKS) {
            // A runtime waits for work by other means.
            Some(false)
        } else if is_any(name, &IDLE) {
            Some(true)
        } else {
            let is_runtime = name.starts_with("tokio::") && !name.starts_with("tokio::loom::");
            let is_beside = line.function.role == Role::Plumbing && !is_runtime
                || is_system_call(name, &line.function.file)
                || is_any(name, &LOCKS_OF_CRATES);
            // mutant: E100 what a task waits for is taken for the idleness of its runtime
            (!is_beside).then_some(false)
        }
    };
    first_line_of(stacks, stack, judge).unwrap_or(false)
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
    first_line_of(stacks, stack, |line| judge(&line.function.name))
}

fn first_line_of<T>(stacks: &Stacks, stack: usize, judge: impl Fn(&SourceLine) -> Option<T>) -> Option<T> {
    stacks
        .places(stack)
        .iter()
        .find_map(|&place| stacks.lines(Location { place, skipped_lines: 0 }).iter().find_map(&judge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::role::role;
    use crate::symbols::synthetic_line;
    use alloc_profiler::StackTrace;

    #[test]
    fn the_innermost_known_function_decides() {
        let names = [
            "std::sys::sync::mutex::futex::Mutex::wake",
            "std::sys::sync::condvar::futex::Condvar::notify_one",
            "tokio::runtime::park::Inner::park",
            "my::function",
        ];
        let line = |address: u64| {
            let name = names[address as usize / 16 - 1];
            [synthetic_line(name, role(name, ""))].into()
        };
        let traces = [[0x11, 0x21, 0x41], [0x21, 0x11, 0x41], [0x41, 0x31, 0x41], [0x41, 0x41, 0x41]]
            .map(StackTrace::of_return_addresses);
        let stacks = Stacks::fixed(traces.iter(), line);
        assert!(is_unlock(&stacks, 0, LockWord::Other) && !is_unlock(&stacks, 1, LockWord::Mutex));
        assert!(is_unlock(&stacks, 3, LockWord::Mutex) && !is_unlock(&stacks, 3, LockWord::Parker));
        assert_eq!([0, 1, 2, 3].map(|stack| is_lock(&stacks, stack)), [true, false, true, true]);
    }

    /// A worker of tokio is a thread of its pool, and what a task waits for is on its stack.
    #[test]
    fn what_a_task_waits_for_is_not_idleness() {
        const POOL: &str = "tokio::runtime::blocking::pool::Inner::run";
        const CONDVAR: &str = "std::sys::sync::condvar::futex::Condvar::wait_optional_timeout";
        const MUTEX: &str = "std::sys::sync::mutex::futex::Mutex::lock_contended";
        const BLOCK_ON: &str = "tokio::runtime::park::CachedParkThread::block_on";
        let cases: [(&[&str], bool); 9] = [
            (&["syscall", CONDVAR, "tokio::loom::std::mutex::Mutex::lock", POOL], true),
            (&[CONDVAR, "my::wait", "tokio::runtime::task::core::Core::poll", POOL], false),
            // The user's function is inlined, and nothing tells its name.
            (&[CONDVAR, "tokio::runtime::task::core::Core::poll", POOL], false),
            (&[MUTEX, "my::lock", BLOCK_ON, "my::main"], false),
            (&[MUTEX, BLOCK_ON, "my::main"], false),
            (&["tokio::runtime::park::Inner::park", BLOCK_ON, "my::main"], true),
            (&["parking_lot::condvar::Condvar::wait", POOL], true),
            (&["parking_lot::condvar::Condvar::wait", "my::wait", POOL], false),
            (&["std::thread::park", "my::main"], false),
        ];
        for (names, idle) in cases {
            let trace = StackTrace::of_return_addresses((1..=names.len()).map(|place| 16 * place + 1));
            let line = |address: u64| {
                let name = names[address as usize / 16 - 1];
                [synthetic_line(name, role(name, ""))].into()
            };
            let stacks = Stacks::fixed([trace].iter(), line);
            assert_eq!(is_idle(&stacks, 0), idle, "{names:?}");
        }
    }
}
