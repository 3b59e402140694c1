//! Lists the threads of this process, as `/proc/self/task` tells them.

use std::fs;
use std::io;
use std::sync::Arc;

/// The numbers of all threads, in no particular order.
///
/// Cost: a system call for each few hundred threads, and a microsecond for each.
pub(crate) fn list() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc/self/task")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The name of each thread of this process, in no particular order: `comm` of the kernel, which has up to 15 bytes. There are
/// none where `/proc` is hidden.
///
/// Cost: it takes some 10 µs for each thread.
#[must_use]
pub fn thread_names() -> Vec<Arc<str>> {
    list().unwrap_or_default().into_iter().filter_map(name).collect()
}

/// Returns the name of a thread. `None`: it has ended, or `/proc` is hidden.
pub(crate) fn name(thread_id: u32) -> Option<Arc<str>> {
    let name = fs::read(format!("/proc/self/task/{thread_id}/comm")).ok()?;
    Some(text(name.strip_suffix(b"\n").unwrap_or(&name)))
}

/// The name that the kernel wrote, which ends at a zero.
#[cfg(by_signals)]
pub(crate) fn name_of_bytes(name: &[u8]) -> Arc<str> {
    text(name.split(|&byte| byte == 0).next().unwrap_or_default())
}

fn text(name: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(name).into()
}

#[cfg(all(test, by_signals))]
mod tests {
    use super::*;
    use crate::by_signals::system_call;

    #[test]
    fn this_thread_is_listed_by_its_name() {
        let work = || {
            let thread_id = system_call::thread_id();
            (
                list().unwrap().contains(&thread_id),
                name(thread_id).unwrap(),
                name_of_bytes(&system_call::thread_name()),
            )
        };
        let thread = std::thread::Builder::new().name("a thread".into()).spawn(work).unwrap();
        let (is_listed, name, by_kernel) = thread.join().unwrap();
        assert!(is_listed);
        assert_eq!((&*name, &*by_kernel), ("a thread", "a thread"));
        assert!(self::name(u32::MAX).is_none());
    }
}
