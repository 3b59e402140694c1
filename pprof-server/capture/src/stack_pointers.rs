//! Where the stacks of threads begin at present, for readers of their words.

use std::fs;
use std::io;
use std::sync::Arc;

use crate::StackPointer;
use crate::threads::{list, name};

/// Tells of each thread where its stack pointer is, the first thread of the process first.
///
/// # Errors
///
/// It is an error if `/proc` is hidden.
///
/// # Cost
///
/// It takes some 15 µs for each thread.
pub fn stack_pointers() -> io::Result<Vec<StackPointer>> {
    let mut threads = list()?;
    threads.sort_unstable_by_key(|&thread| (thread != std::process::id(), thread));
    let pointer = |id: u32| StackPointer {
        id,
        name: name(id).unwrap_or_else(|| Arc::from("")),
        address: fs::read_to_string(format!("/proc/self/task/{id}/syscall"))
            .ok()
            .and_then(|line| parse(&line)),
    };
    Ok(threads.into_iter().map(pointer).collect())
}

/// Returns the stack pointer of a thread that waits. `syscall` ends with it and the instruction pointer. Of a thread that runs it says
/// that alone.
fn parse(line: &str) -> Option<u64> {
    let pointer = line.split_ascii_whitespace().rev().nth(1)?;
    u64::from_str_radix(pointer.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_pointer_of_a_thread_that_waits_is_read() {
        assert_eq!(parse("202 0x1 0x2 0x3 0x0 0x5 0x1f 0x7ff0 0x400\n"), Some(0x7ff0));
        assert_eq!(parse("-1 0x7ff0 0x400\n"), Some(0x7ff0));
        assert_eq!(["", "running\n", "x y"].map(parse), [None; 3]);
    }

    #[test]
    fn the_stack_of_a_thread_that_sleeps_is_where_its_variables_are() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let sleeps = move || {
            let here = 0_u8;
            tell.send(std::hint::black_box(&raw const here).addr() as u64).unwrap();
            wait.recv().unwrap_err();
        };
        let thread = std::thread::Builder::new().name("it sleeps".into()).spawn(sleeps).unwrap();
        let here = told.recv().unwrap();
        let address = loop {
            let all = stack_pointers().unwrap();
            assert_eq!(all[0].id, std::process::id());
            let found = all.iter().find(|found| &*found.name == "it sleeps").and_then(|found| found.address);
            match found {
                Some(address) => break address,
                None => std::thread::yield_now(),
            }
        };
        // qemu has system calls made on a stack of its own.
        let is_emulated = std::env::var("TEST_RUNNER").is_ok_and(|runner| !runner.is_empty());
        assert!(is_emulated || (address..address + (64 << 10)).contains(&here), "{address:#x} {here:#x}");
        drop(end);
        thread.join().unwrap();
    }
}
