//! What the kernel says of all threads, without their stacks.

use std::io;

use super::dump::task::task;
use super::own_threads;
use crate::ThreadLook;
use crate::threads;

/// Tells what each thread of this process does, but of those that are left out: see [`leave_out`](crate::leave_out). They come
/// in the order of their numbers.
///
/// # Errors
///
/// It is an error if `/proc` is hidden.
///
/// # Cost
///
/// It takes some 10 µs for each thread, which does not notice.
pub fn thread_looks() -> io::Result<Vec<ThreadLook>> {
    let mut listed = threads::list()?;
    listed.sort_unstable();
    let own = own_threads::all();
    let look = |id: u32| {
        let task = task(id).filter(|task| !own_threads::is_named_so(&task.name))?;
        Some(ThreadLook { id, state: task.state?, name: task.name })
    };
    Ok(listed.into_iter().filter(|id| !own.contains(id)).filter_map(look).collect())
}
