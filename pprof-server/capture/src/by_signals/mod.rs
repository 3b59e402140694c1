//! The capture machine: one owner of signals, rings, and lists of threads.
//!
//! ```text
//! cpu ─▶ turn, threads, maps, timers, signals ─▶ handler ─▶ machine: ring, scratch, stack_ends, known_threads
//!  └──▶ own_threads, interned                       └─────▶ sender, context, wait, earlier_handlers
//!  └──▶ fork ─▶ machine, sender, own_threads, turn
//! dump ─▶ turn, threads, own_threads, signals ─▶ handler
//! ```
//!
//! What the handler does is in `handler`, `machine` and what these use: no lock, no allocation, no thread-local, nothing
//! that can panic. All else is ordinary code, of the thread that controls the capture.

mod alone;
mod context;
mod cpu;
mod dump;
mod earlier_handlers;
mod fork;
mod forks;
mod handler;
mod interned;
mod known_threads;
mod machine;
mod maps;
mod own_threads;
mod purpose;
mod ring;
mod scratch;
mod sender;
mod signals;
mod stack_ends;
pub(crate) mod system_call;
mod thread_looks;
mod timers;
mod turn;
mod wait;
mod waits_now;

pub use alone::Handling;
pub use cpu::CpuCapture;
pub use dump::{thread_dump, thread_dump_by_signals};
pub use own_threads::{OwnThread, leave_out};
pub use system_call::monotonic_time;
pub use thread_looks::thread_looks;
pub use waits_now::current_waits;
