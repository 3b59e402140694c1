//! Which threads have run since some moment.
//!
//! Path: *read path*.

use std::collections::BTreeMap;
use std::fs;

/// How often each thread had given up its processor at one moment.
pub(super) struct Turns {
    by_thread: BTreeMap<u32, Turn>,
}

/// What tells that a thread has not run: it sleeps, and slept before, and has not been switched to meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Turn {
    is_asleep: bool,
    switches: Vec<String>,
}

impl Turns {
    /// Looks at all threads.
    ///
    /// Cost: it reads one small file for each thread.
    pub(super) fn now() -> Turns {
        let mut by_thread = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let status = fs::read_to_string(entry.path().join("status"));
            if let (Some(id), Ok(status)) = (id, status) {
                by_thread.insert(id, Turn::of(&status));
            }
        }
        Turns { by_thread }
    }

    /// Lists the threads that have run since, or that nobody knows.
    pub(super) fn ran_since(&self) -> Vec<u32> {
        let now = Turns::now();
        let has_run = |(id, turn): (&u32, &Turn)| {
            let is_same = turn.is_asleep && self.by_thread.get(id) == Some(turn);
            (!is_same).then_some(*id)
        };
        now.by_thread.iter().filter_map(has_run).collect()
    }
}

impl Turn {
    /// Reads what the kernel says of a thread.
    fn of(status: &str) -> Turn {
        let lines = || status.lines();
        let is_asleep = lines().any(|line| line.starts_with("State:\tS"));
        let switches = lines().filter(|line| line.contains("ctxt_switches:")).map(str::to_owned);
        Turn { is_asleep, switches: switches.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_and_was_not_switched_to_has_not_run() {
        let status = |state: &str, count: u32| {
            Turn::of(&format!(
                "Name:\tx\nState:\t{state} (x)\nvoluntary_ctxt_switches:\t{count}\nnonvoluntary_ctxt_switches:\t2\n"
            ))
        };
        assert_eq!(status("S", 7), status("S", 7));
        assert!(status("S", 7).is_asleep && !status("R", 7).is_asleep && !status("D", 7).is_asleep);
        assert_ne!(status("S", 7), status("S", 8));
        assert_eq!(status("S", 7).switches.len(), 2);
    }

    #[test]
    fn this_thread_has_run() {
        let before = Turns::now();
        let this = fs::read_link("/proc/thread-self").unwrap();
        let this: u32 = this.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert!(before.ran_since().contains(&this));
    }
}
