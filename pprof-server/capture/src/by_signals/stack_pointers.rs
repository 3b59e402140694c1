//! Where the stacks of threads begin at present, for readers of their words.

use std::io;
use std::sync::Arc;

use super::dump::task::{Whereabouts, whereabouts};
use super::threads::{list, name};
use crate::StackPointer;

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
    let pointer = |id: u32| {
        let address = match whereabouts(id) {
            Ok(Whereabouts::Asleep(asleep)) => Some(asleep.stack_pointer as u64),
            _ => None,
        };
        StackPointer { id, name: name(id).unwrap_or_else(|| Arc::from("")), address }
    };
    Ok(threads.into_iter().map(pointer).collect())
}
