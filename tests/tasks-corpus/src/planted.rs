//! The tasks of the corpus, and what keeps them waiting.

use std::any::Any;
use std::future::Future;

use crate::cells;

/// What was spawned, by shape.
#[derive(Default)]
pub(crate) struct Planted {
    cells: Vec<(&'static str, usize)>,
    /// The other ends of channels, guards of locks, handles: if they went, tasks would go on.
    kept: Vec<Box<dyn Any>>,
}

impl Planted {
    /// Spawns a task of this shape on the runtime that the caller is in.
    #[inline(always)]
    pub(crate) fn spawn<F>(&mut self, shape: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (handle, cell) = cells::of(|| tokio::spawn(task));
        self.add(shape, cell);
        self.keep(handle);
    }

    /// Notes a task that was spawned in another way.
    pub(crate) fn add(&mut self, shape: &'static str, cell: usize) {
        self.cells.push((shape, cell));
    }

    /// Keeps something for as long as the program runs.
    pub(crate) fn keep(&mut self, kept: impl Any) {
        self.kept.push(Box::new(kept));
    }

    /// Yields the shape and the address of each task.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.cells.iter().copied()
    }
}
