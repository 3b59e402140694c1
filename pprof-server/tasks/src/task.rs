//! What is found out about a task.

use crate::memory::Masked;
use std::sync::Arc;

/// The block of memory of a task, as its allocator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins.
    pub address: u64,
    /// How long it is, in bytes, as it was asked for. If that is known, a block of another length than the task's is refused.
    pub bytes: Option<u64>,
}

/// A task, as it was at one moment while it waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What the runtime says of it.
    pub state: State,
    /// Whether somebody has aborted it, so that it ends when it runs next.
    pub is_cancelled: bool,
    /// The future that was spawned. If `state` is [`State::Complete`], nothing is known beyond its type.
    pub future: AwaitFrame,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It waits for something.
    Suspended,
    /// What it waited for has come, and it will run soon.
    Scheduled,
    /// It has ended. Its block lives on because somebody holds its handle.
    Complete,
}

/// A future that a task waits for, and what that waits for in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwaitFrame {
    /// The function that was called to make the future, as its author would write it, such as `my_service::reader`; or the name
    /// of the type, if it is not the future of an `async fn`, block or closure.
    pub function: Arc<str>,
    /// What kind of future it is, and how far it has come.
    pub kind: Kind,
    /// The `.await` at which it waits. It is `None` if it is not the future of an `async fn`, block or closure.
    pub place: Option<Place>,
    /// Where that function, block or closure begins. A macro such as `select!` has its `.await` in a file of its own, so that
    /// this is the nearest line of the author's.
    pub begins: Option<Place>,
    /// The address in memory of the code that resumes the future, if that is a function of its own.
    pub code: Option<u64>,
    /// What it waits for: one future as a rule, several in `select!` and `join!`, and none if it is the last.
    pub children: Vec<AwaitFrame>,
    /// Why `children` may be wanting.
    pub end: Option<End>,
    /// The type and the address of the value, if it is a future that is written by hand.
    pub(crate) value: Option<Value>,
}

/// Tells where a value is in memory, and of which type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// This is the image that has the type, and the offset of the type's entry there.
    pub(crate) type_: (u16, u64),
    pub(crate) address: Masked,
}

/// What kind of future it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An `async fn`, block or closure that waits at an `.await`.
    Async,
    /// An `async fn`, block or closure that was never polled.
    Unresumed,
    /// An `async fn`, block or closure that has returned.
    Returned,
    /// An `async fn`, block or closure that has panicked.
    Panicked,
    /// A future that is written by hand.
    Other,
}

/// This is a line of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The path of the file, as the compiler was given it.
    pub file: Arc<str>,
    /// The line is counted from 1.
    pub line: u32,
}

/// Why a chain ends before the last future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// Debug information does not have the type, or it makes no sense.
    NoTypes,
    /// Memory could not be read.
    Unreadable,
    /// The value in memory is none that its type can have.
    NotAValue,
    /// More futures are nested in one another, or beside one another, than are followed.
    TooMany,
    /// Several types share the code, so that it cannot be known which one it is.
    Ambiguous,
}

impl AwaitFrame {
    /// Returns the chain from this future down to the last one, or to where it branches: the first is this one.
    pub fn chain(&self) -> Vec<&AwaitFrame> {
        let mut chain = vec![self];
        let mut last = self;
        while let [only] = &last.children[..] {
            chain.push(only);
            last = only;
        }
        chain
    }
}
