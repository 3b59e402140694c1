//! What code works for: sets of labels that a program gives to its threads and tasks, and that profiles tell samples apart by.
//!
//! ```text
//! labels!, labelled ─▶ LabelSet: a number ─▶ the thread's word ─▶ sample: the number ─▶ sets: keys and values ─▶ profile
//! ```
//!
//! A thread carries a number and nothing else. So a signal handler, and the allocator, read one word, whatever the program does to
//! its labels meanwhile.
//!
//! Path: *called by the program*. A set is made under a lock of our own; whoever enters it writes one word.

mod future;
mod label_text;
mod sets;
#[cfg(feature = "tracing")]
mod tracing;

pub use future::{LabelFuture, Labelled};
#[cfg(feature = "tracing")]
pub use tracing::LabelLayer;

use std::fmt;
use std::marker::PhantomData;

use alloc_profiler::internal::label;

use crate::profile::{Label, LabelValue};
use label_text::LabelText;

/// Gives the calling thread labels until the end of the scope, beside those that it has.
///
/// The value of the macro is a [`LabelScope`], which takes the labels away when it is dropped. Bind it to a name: `let _ =` drops
/// it at once. CPU profiles, `goroutine` and `fgprof` then have the labels on what the thread does meanwhile, and so have heap
/// profiles of a program that keeps labels ([`keep_heap_labels`](crate::keep_heap_labels)).
///
/// ```
/// fn answer(tenant: u32) -> String {
///     let _labels = pprof_server::labels! { "tenant" => tenant, "route" => "/answer" };
///     "what this allocates and computes is the tenant's".repeat(3)
/// }
/// # assert_eq!(answer(7).len(), 144);
/// ```
///
/// A value is anything that can be displayed. See [`LabelSet`] for the limits. An async function must not hold the scope across an
/// `.await`, which the compiler refuses where the future has to be `Send`; use [`LabelFuture::labelled`] there.
///
/// # Cost
///
/// Some 200 ns for each label, for the value is looked up; a [`LabelSet`] that is kept costs a few instructions each time.
#[macro_export]
macro_rules! labels {
    ($($key:expr => $value:expr),+ $(,)?) => {
        $crate::LabelSet::current()$(.with($key, &$value))+.enter()
    };
}

/// A set of labels: what code works for, such as a tenant and a route.
///
/// It is a number, which is copied freely. Equal sets are one. What they consist of is kept as long as the process runs, so there
/// are limits: 64 keys in a process, 256 values of a key, 16 labels in a set, 4096 sets, and 128 bytes of a value. What is beyond
/// them stands under the value `[other]`, so that totals stay right. A value that identifies one request is therefore of no use.
///
/// ```
/// use pprof_server::{LabelFuture, LabelSet};
///
/// # async fn handle() {}
/// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
/// let labels = LabelSet::EMPTY.with("tenant", &7).with("route", &"/answer");
/// spawn(async { handle().await }.labelled(labels));
/// assert_eq!(labels.to_string(), "route=/answer, tenant=7");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(u32);

impl LabelSet {
    /// The set that has no labels, which threads and tasks begin with.
    pub const EMPTY: LabelSet = LabelSet(0);

    /// Returns the labels of the calling thread at this moment: those of the task that runs on it, or of the scopes that it is in.
    ///
    /// Cost: it loads one word.
    #[inline]
    #[must_use]
    pub fn current() -> LabelSet {
        LabelSet(label::current())
    }

    /// Returns this set with one more label. A label of that key is replaced.
    ///
    /// A key that profiles have themselves (`thread`, `bytes`, `kind` and their kin) gets `user_` before it, and an empty key is
    /// called `[unnamed]`. A call in a signal handler is not allowed, since this takes a lock.
    ///
    /// Cost: some 200 ns; the first time a set is made, some microseconds and some 100 bytes.
    #[must_use]
    pub fn with(self, key: &str, value: &(impl fmt::Display + ?Sized)) -> LabelSet {
        let value = LabelText::of(value);
        // What sets take is the profiler's own memory.
        alloc_profiler::unsampled(|| LabelSet(sets::with(self.0, key, value.as_str())))
    }

    /// Gives the calling thread these labels, instead of those that it has, until the scope is dropped.
    ///
    /// Cost: two stores in all, and some system calls once in the life of a thread.
    #[inline]
    #[must_use = "the labels are gone when this is dropped"]
    pub fn enter(self) -> LabelScope {
        LabelScope { before: label::replace(self.0), _of_this_thread: PhantomData }
    }
}

/// Writes the labels as `key=value, key=value`, in the order of their keys.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in sets::pairs(self.0).iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// While it exists, the thread has the labels that it was made with. Scopes that are nested end in the reverse order, as values of
/// a block do; a panic ends them too.
#[derive(Debug)]
pub struct LabelScope {
    before: u32,
    /// It ends in the thread that it began in.
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for LabelScope {
    #[inline]
    fn drop(&mut self) {
        label::restore(self.before);
    }
}

/// Has heap profiles tell samples apart by labels from now on, or not any more. It is off at first, and `install!(labels = true)`
/// and [`Builder::heap_labels`](crate::Builder::heap_labels) switch it on.
///
/// # Cost
///
/// Blocks that are not sampled cost nothing more. A stack takes some 100 bytes for each set of labels that it allocates under.
pub fn keep_heap_labels(are_kept: bool) {
    alloc_profiler::keep_labels(are_kept);
}

/// Returns the labels with this number, as rows have them.
pub(crate) fn of_number(number: u32) -> impl Iterator<Item = Label> {
    let label =
        |&(key, value): &(&'static str, &'static str)| Label { key, value: LabelValue::Text(value.into()) };
    sets::pairs(number).iter().map(label)
}

/// Says which keys have labels under `[other]`, if any have.
pub(crate) fn notes() -> Vec<String> {
    sets::losses()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_with_its_block_and_with_a_panic() {
        let outer = labels! { "scope" => "outer" };
        assert_eq!(LabelSet::current().to_string(), "scope=outer");
        {
            let _inner = labels! { "scope" => "inner", "depth" => 2 };
            assert_eq!(LabelSet::current().to_string(), "depth=2, scope=inner");
        }
        assert_eq!(LabelSet::current().to_string(), "scope=outer");
        let panicked = std::panic::catch_unwind(|| {
            let _inner = labels! { "scope" => "panics" };
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(LabelSet::current().to_string(), "scope=outer");
        drop(outer);
        assert_eq!(LabelSet::current(), LabelSet::EMPTY);
    }

    #[test]
    fn rows_have_the_labels_of_a_number() {
        let set = LabelSet::EMPTY.with("tenant", &7).with("thread", "main");
        let found: Vec<Label> = of_number(set.0).collect();
        let label = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
        assert_eq!(found, [label("tenant", "7"), label("user_thread", "main")]);
        assert_eq!(of_number(u32::MAX).count(), 0);
    }
}
