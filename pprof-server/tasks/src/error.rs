//! Why there is no index of types, or no chain of a task.

use std::{error, fmt};

/// Why the debug information of a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexError {
    /// The file is no ELF file of this machine's kind.
    NotElf,
    /// A part of the file makes no sense.
    Broken(&'static str),
    /// Sections are compressed, and inflated they would take too much memory.
    Compressed {
        /// How much they would take, in bytes.
        bytes: u64,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::NotElf => f.write_str("it is no 64-bit ELF file of this machine's byte order"),
            IndexError::Broken(what) => write!(f, "{what} cannot be read; build the program anew"),
            IndexError::Compressed { bytes } => write!(
                f,
                "its debug information is compressed and would take {} MiB; link it without --compress-debug-sections",
                bytes >> 20
            ),
        }
    }
}

impl error::Error for IndexError {}

/// Why a task could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// The task was running, or ran while it was read. Another attempt may succeed.
    Busy,
    /// The block is no task, or no longer one: it has been freed.
    NotATask,
    /// The block is a task's, but the debug information does not have its type.
    NoTypes,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unread::Busy => "the task ran while it was read",
            Unread::NotATask => "the block is not a task's",
            Unread::NoTypes => "debug information does not have the task's type",
        })
    }
}

impl error::Error for Unread {}
