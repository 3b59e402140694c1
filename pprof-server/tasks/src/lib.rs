//! Where the tasks of an async runtime wait: from the block of memory of a task to the chain of `.await` lines down to the last
//! future, with no instrumentation, and without disturbing the task.
//!
//! ```no_run
//! use tasks::{Block, Image, OwnMemory, TypeIndex};
//!
//! # let (bias, address) = (0, 0);
//! let debug = Box::new(std::fs::File::open("/proc/self/exe")?);
//! let mut index = TypeIndex::of_images(vec![Image { debug, bias, package: None }])?;
//! let memory = OwnMemory::open()?;
//! let task = index.read(&memory, Block { address, bytes: None })?;
//! for frame in task.future.chain() {
//!     match &frame.place {
//!         Some(place) => println!("{} at {}:{}", frame.function, place.file, place.line),
//!         None => println!("{}", frame.function),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! block of the task ─▶ its table of functions ─▶ the function that polls it ─▶ its entry in the debug information
//!   ─▶ the type of the task's cell ─▶ the variant that the future is in ─▶ what is awaited there ─▶ and so on, to the last
//! ```
//!
//! # What it needs
//!
//! - **Debug information of the program.** [`Grade`] says how much there is, and what to do for more. The lines need the types of the
//!   program's own package, which `debug = "full"` for that package alone gives.
//! - **The block of a task.** This crate knows nothing of where blocks come from.
//!
//! # What it promises
//!
//! - **Nothing faults**: memory is only ever copied, by a system call that returns an error where nothing is mapped. Whatever the
//!   block or the debug information is, the result is at most wrong or an error.
//! - **A task that runs is left alone**: it is [`Unread::Busy`], also if it ran while it was read. All that was read is looked at
//!   once more at the end.
//! - **No value of a variable is read** but those which tell where a task waits: the numbers of variants, and the addresses of
//!   futures.
//! - **Bounds**: 2 s for the index or as long as the caller says, 24 futures in one another, 256 of one task, and 64 side by side.
//!
//! # For which runtimes
//!
//! Tasks of tokio 1 are read, on any kind of its runtimes and in `LocalSet`s. Those of `smol` and `async-std`, whose tasks are blocks of
//! another kind (`async_task::raw::RawTask`), are not.

mod debug_file;
mod error;
mod index;
mod memory;
mod read;
mod scan;
mod task;
mod typed;
mod types;
mod wait;

pub use debug_file::ReadAt;
pub use error::{IndexError, Unread};
pub use index::{Grade, Image, RestingIndex, TypeIndex};
pub use memory::{Masked, Memory, OwnMemory, Unreadable};
pub use task::{AwaitFrame, Block, End, Kind, Place, State, Task};
pub use typed::{Typed, Word};
pub use wait::{Part, Wait, Waiting};
