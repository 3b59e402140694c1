//! What the kernel tells of a thread: its name and state, and which system call it waits in.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::sync::Arc;

use super::calls::SystemCall;
use crate::ThreadState;

/// What `/proc/self/task/N/stat` says of a thread.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::by_signals) struct Task {
    pub(in crate::by_signals) name: Arc<str>,
    /// `None`: it has ended.
    pub(in crate::by_signals) state: Option<ThreadState>,
    /// The signals that it blocks, signal 1 in the lowest bit.
    blocked_signals: u64,
}

/// Where a thread is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::by_signals) enum Whereabouts {
    /// It runs, or may run as soon as there is a processor.
    Running,
    /// It waits.
    Asleep(Asleep),
}

/// Where a thread waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::by_signals) struct Asleep {
    /// `None`: it is in no system call, but waits for a page of memory, for example.
    pub(in crate::by_signals::dump) call: Option<SystemCall>,
    pub(in crate::by_signals) stack_pointer: usize,
    /// The instruction that comes next, which is the one after that of the system call.
    pub(super) instruction_pointer: usize,
}

/// What the kernel tells of a thread. `None`: it has ended.
///
/// Cost: it takes some 10 µs.
pub(in crate::by_signals) fn task(thread_id: u32) -> Option<Task> {
    parse_stat(&fs::read(format!("/proc/self/task/{thread_id}/stat")).ok()?)
}

/// Where a thread is now.
///
/// Cost: it takes some 5 µs.
pub(in crate::by_signals) fn whereabouts(thread_id: u32) -> io::Result<Whereabouts> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread_id}/syscall"))?;
    parse_call(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The function of the kernel's that a thread waits in. `None`: it runs, or the system does not tell.
pub(super) fn kernel_function(thread_id: u32) -> Option<Cow<'static, str>> {
    let name = fs::read_to_string(format!("/proc/self/task/{thread_id}/wchan")).ok()?;
    (!name.is_empty() && name != "0").then_some(Cow::Owned(name))
}

impl Task {
    pub(super) fn blocks(&self, signal: libc::c_int) -> bool {
        self.blocked_signals & 1 << (signal - 1) != 0
    }
}

/// Tells what word of memory a thread waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_signals) struct FutexWait {
    pub(in crate::by_signals) address: usize,
    /// What the thread saw there when it began to wait.
    pub(in crate::by_signals) value: u32,
    pub(in crate::by_signals) has_end: bool,
}

impl Asleep {
    /// What the thread waits on, if that is a word of memory.
    pub(in crate::by_signals) fn futex_wait(&self) -> Option<FutexWait> {
        let SystemCall { number: libc::SYS_futex, arguments: [address, operation, value, limit, ..] } =
            self.call?
        else {
            return None;
        };
        let operation = operation as libc::c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
        let is_wait = matches!(operation, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
        is_wait.then_some(FutexWait { address, value: value as u32, has_end: limit != 0 })
    }
}

fn parse_stat(stat: &[u8]) -> Option<Task> {
    // A name may have parentheses in it, but nothing behind it has.
    let name_start = stat.iter().position(|&byte| byte == b'(')? + 1;
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "R" => Some(ThreadState::Running),
        "D" => Some(ThreadState::Disk),
        "T" | "t" => Some(ThreadState::Stopped),
        "Z" | "X" | "x" => None,
        _ => Some(ThreadState::Sleeping),
    };
    // The state is the third field, and blocked signals are the 32nd.
    let blocked_signals = fields.nth(28)?.parse().ok()?;
    let name = String::from_utf8_lossy(stat.get(name_start..name_end)?).into();
    Some(Task { name, state, blocked_signals })
}

/// Parses `NUMBER ARGUMENT… STACK_POINTER INSTRUCTION_POINTER`, of which a number of -1 has no arguments.
fn parse_call(text: &str) -> Option<Whereabouts> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    if first == "running" {
        return Some(Whereabouts::Running);
    }
    let number: i64 = first.parse().ok()?;
    let mut hexadecimal = || usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let call = if number < 0 {
        None
    } else {
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = hexadecimal()?;
        }
        Some(SystemCall { number, arguments })
    };
    let (stack_pointer, instruction_pointer) = (hexadecimal()?, hexadecimal()?);
    Some(Whereabouts::Asleep(Asleep { call, stack_pointer, instruction_pointer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let line = |state: &str, blocked: u64| {
            let zeros = "0 ".repeat(28);
            parse_stat(format!("17 (a (b) c) {state} {zeros}{blocked} 0 0\n").as_bytes())
        };
        let task = line("S", 1 << 26).unwrap();
        assert_eq!((&*task.name, task.state), ("a (b) c", Some(ThreadState::Sleeping)));
        assert!(task.blocks(libc::SIGPROF) && !task.blocks(libc::SIGVTALRM));
        assert_eq!(line("R", 0).unwrap().state, Some(ThreadState::Running));
        assert_eq!(line("D", 0).unwrap().state, Some(ThreadState::Disk));
        assert_eq!(line("t", 0).unwrap().state, Some(ThreadState::Stopped));
        assert_eq!(line("Z", 0).unwrap().state, None);
        assert_eq!([&b""[..], b"17 (a", b"17 (a) S 0"].map(parse_stat), [None, None, None]);
    }

    #[test]
    fn a_line_of_syscall_tells_where_a_thread_is() {
        assert_eq!(parse_call("running\n"), Some(Whereabouts::Running));
        let asleep = |call, stack_pointer, instruction_pointer| {
            Some(Whereabouts::Asleep(Asleep { call, stack_pointer, instruction_pointer }))
        };
        assert_eq!(parse_call("-1 0x7ff0 0x400\n"), asleep(None, 0x7ff0, 0x400));
        let call = Some(SystemCall { number: 202, arguments: [1, 2, 3, 0, 5, 0x1f] });
        assert_eq!(parse_call("202 0x1 0x2 0x3 0x0 0x5 0x1f 0x7ff0 0x400\n"), asleep(call, 0x7ff0, 0x400));
        assert_eq!(["", "202", "202 0x1 0x2\n", "x 0x1 0x2", "-1 1 2"].map(parse_call), [const { None }; 5]);
    }

    #[test]
    fn the_kernel_tells_of_a_thread_that_runs() {
        let (is_over, (tell, told)) = (std::sync::atomic::AtomicBool::new(false), std::sync::mpsc::channel());
        std::thread::scope(|scope| {
            let is_over = &is_over;
            let thread = std::thread::Builder::new().name("(it) runs".into());
            let work = move || {
                tell.send(crate::by_signals::system_call::thread_id()).unwrap();
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            thread.spawn_scoped(scope, work).unwrap();
            let id = told.recv().unwrap();
            while whereabouts(id).unwrap() != Whereabouts::Running {
                std::thread::yield_now();
            }
            let told = task(id).unwrap();
            assert_eq!((&*told.name, told.state), ("(it) runs", Some(ThreadState::Running)));
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(task(u32::MAX), None);
    }
}
