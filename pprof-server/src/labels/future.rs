//! A future that is polled under labels.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::LabelSet;

/// Gives futures labels.
pub trait LabelFuture: Future + Sized {
    /// Has the future be polled under these labels, instead of those of whoever polls it. What it spawns inherits nothing; to hand
    /// the labels on, spawn `task.labelled(LabelSet::current())`.
    ///
    /// ```
    /// use pprof_server::{LabelFuture, LabelSet};
    ///
    /// # async fn handle() -> u32 { 7 }
    /// # async fn example() {
    /// let answer = handle().labelled(LabelSet::current().with("tenant", "acme")).await;
    /// # assert_eq!(answer, 7);
    /// # }
    /// ```
    ///
    /// # Cost
    ///
    /// Two stores a poll, and four bytes of the future.
    fn labelled(self, labels: LabelSet) -> Labelled<Self> {
        Labelled { future: self, labels }
    }
}

impl<F: Future> LabelFuture for F {}

pin_project! {
    /// A future that is polled under labels: see [`LabelFuture::labelled`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Labelled<F> {
        #[pin]
        future: F,
        labels: LabelSet,
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _scope = this.labels.enter();
        this.future.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    #[test]
    fn each_poll_has_the_labels_of_its_future() {
        let mut seen = Vec::new();
        let labels = LabelSet::EMPTY.with("tenant", "a");
        let outer = crate::labels! { "tenant" => "of whoever polls" };
        {
            let mut polls = 0;
            let future = std::future::poll_fn(|_| {
                seen.push(LabelSet::current());
                polls += 1;
                if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
            });
            let mut future = pin!(future.labelled(labels));
            let mut context = Context::from_waker(Waker::noop());
            while future.as_mut().poll(&mut context).is_pending() {
                assert_eq!(LabelSet::current().to_string(), "tenant=of whoever polls");
            }
        }
        assert_eq!(seen, [labels; 3]);
        drop(outer);
        let mut panics = pin!(
            std::future::poll_fn(|_| -> Poll<()> { std::panic::resume_unwind(Box::new(())) })
                .labelled(labels)
        );
        let poll = std::panic::AssertUnwindSafe(|| {
            panics.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        });
        assert!(std::panic::catch_unwind(poll).is_err());
        assert_eq!(LabelSet::current(), LabelSet::EMPTY);
    }
}
