//! A value of this process is kept so that a child of `fork` has one of its own.
//!
//! This is used wherever this crate keeps something that threads of ours use, or that a lock is around. A child has none of
//! its parent's threads, and a lock that one of them held is held for ever. So the child leaves alone what its parent had,
//! and begins anew. It does not drop the parent's value either, which would wake or join threads that are not there.
//!
//! Path: *read path*. It costs an atomic load for the process, and one more for each parent that had such a value.

use once_cell::race::OnceBox;

/// A value that is made when it is first asked for in each process.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(OnceBox<Node<T>>);

#[derive(Debug)]
struct Node<T> {
    /// The number of forks that led to the process that this value belongs to.
    forks: u64,
    /// Holds the value. It is always there, except while the node is dropped.
    value: Option<T>,
    /// Leads to the node of a child of that process.
    of_child: OnceBox<Node<T>>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(OnceBox::new())
    }

    /// Returns this process's value. Of several threads that ask first, each may make one, and one is kept.
    pub(crate) fn get(&self, make: impl Fn() -> T) -> &T {
        let forks = alloc_profiler::internal::forks();
        let mut slot = &self.0;
        loop {
            let node =
                slot.get_or_init(|| Box::new(Node { forks, value: Some(make()), of_child: OnceBox::new() }));
            match &node.value {
                Some(value) if node.forks == forks => return value,
                _ => slot = &node.of_child,
            }
        }
    }
}

impl<T> Drop for Node<T> {
    fn drop(&mut self) {
        if self.forks != alloc_profiler::internal::forks() {
            std::mem::forget(self.value.take());
        }
    }
}
