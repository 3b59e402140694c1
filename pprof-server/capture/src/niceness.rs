//! How far a thread of the profiler's own stands back behind the program's threads.

/// Linux gives a thread of this niceness a third of the processor time that it gives to one of 0, and lets a thread of 0 that wakes up go
/// first.
const NICENESS: libc::c_int = 5;

/// Makes the calling thread stand back behind the program's threads, for as long as it lives. It is for work that takes seconds and that
/// nobody's request waits for.
///
/// Niceness is a thread's own on Linux. It can only be raised without privileges, so there is no way back. A thread that has a higher niceness
/// already keeps it. Where the system refuses, nothing changes.
///
/// # Cost
///
/// Two system calls, `getpriority` and `setpriority`.
pub fn stand_back() {
    const THIS_THREAD: libc::id_t = 0;
    // SAFETY: both calls take and give numbers alone. The second one changes how the kernel schedules this thread, and nothing else.
    unsafe {
        // An error is -1, which is lower than what is asked for.
        if libc::getpriority(libc::PRIO_PROCESS, THIS_THREAD) < NICENESS {
            libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD, NICENESS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        // SAFETY: the call takes and gives numbers alone.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn a_thread_stands_back_by_itself_and_keeps_what_it_has() {
        let before = niceness();
        std::thread::spawn(move || {
            stand_back();
            assert_eq!(niceness(), before.max(NICENESS));
            // SAFETY: the call takes and gives numbers alone, and changes this thread only.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
            stand_back();
            assert_eq!(niceness(), before.max(15));
        })
        .join()
        .unwrap();
        assert_eq!(niceness(), before);
    }
}
