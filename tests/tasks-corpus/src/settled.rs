//! When every task has come to where it waits.

use std::fs;
use std::time::Duration;

/// How many looks in a row must find the same.
const LOOKS: usize = 5;

/// Waits until all other threads sleep, and have not been woken for a while. A thread that has work and waits for a processor
/// does not sleep, so this holds however busy the machine is.
pub(crate) fn wait() {
    let (mut last, mut same) = (None, 0);
    while same < LOOKS {
        std::thread::sleep(Duration::from_millis(50));
        let now = all_sleep();
        same = if now.is_some() && now == last { same + 1 } else { 0 };
        last = now;
    }
}

/// Returns how often each other thread has been switched to, or `None` if any of them does not sleep.
fn all_sleep() -> Option<Vec<String>> {
    let own = fs::read_link("/proc/thread-self").ok()?;
    let own = own.file_name()?.to_owned();
    let mut switches = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?;
        if thread.file_name() == own {
            continue;
        }
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let name = status.lines().next()?;
        let has = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim();
        // The profiler's own threads look at the clock every second.
        if name.contains("pprof") {
            continue;
        }
        if !has("State:").starts_with('S') {
            return None;
        }
        switches.push(format!(
            "{name} {} {}",
            has("voluntary_ctxt_switches:"),
            has("nonvoluntary_ctxt_switches:")
        ));
    }
    Some(switches)
}
