//! Threads of the profiler's own take none of the program's signals, and are not part of what the program is doing.

use std::io;
use std::thread::JoinHandle;

/// Starts a thread that blocks all signals but those of faults, and that CPU profiles leave out.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    alloc_profiler::internal::spawn_without_signals(name, || {
        let _left_out = capture::leave_out();
        work()
    })
}
