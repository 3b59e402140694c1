//! Futures that were written by hand or wrapped, and tasks that wait nowhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc as threads;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tracing::Instrument;

use crate::cells;
use crate::planted::Planted;

/// A future that counts how often it is polled.
struct Counted<F> {
    polls: u32,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Counted<F> {
    type Output = (u32, F::Output);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let polls = self.polls;
        self.inner.as_mut().poll(context).map(|output| (polls, output))
    }
}

/// A future that has no other in it.
struct Never {
    polls: u64,
}

impl Future for Never {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.polls += 1;
        Poll::Pending
    }
}

async fn counts(answer: oneshot::Receiver<u8>) -> u32 {
    let inner = Box::pin(async move {
        answer.await.is_ok() // waits: hand-written
    });
    Counted { polls: 0, inner }.await.0 // via: hand-written 1
}

async fn waits_for_ever() {
    Never { polls: 0 }.await; // waits: no-future-inside
}

async fn waits_in_a_span(answer: oneshot::Receiver<u8>) -> bool {
    answer.await.is_ok() // waits: instrumented
}

async fn wraps(answer: oneshot::Receiver<u8>) -> bool {
    let inner = async move {
        answer.await.is_ok() // waits: instrumented-inside
    };
    inner.instrument(tracing::info_span!("inner")).await // via: instrumented-inside 1
}

// root: unresumed
async fn is_never_polled(answer: oneshot::Receiver<u8>) -> bool {
    answer.await.is_ok()
}

async fn ends() -> u64 {
    tokio::task::yield_now().await;
    7 // ended: complete
}

async fn panics() -> u64 {
    tokio::task::yield_now().await;
    std::panic::resume_unwind(Box::new("this task is to end by a panic")) // ended: panicked
}

async fn never_lets_go(blocked: threads::Receiver<u8>) -> bool {
    tokio::task::yield_now().await;
    // It waits as no task should: its thread waits with it.
    blocked.recv().is_ok() // runs: blocks-its-thread
}

pub(super) fn plant(planted: &mut Planted) {
    let (sender, answer) = oneshot::channel();
    planted.spawn("hand-written", counts(answer));
    planted.keep(sender);
    planted.spawn("no-future-inside", waits_for_ever());
    let (sender, answer) = oneshot::channel();
    planted.spawn("instrumented", waits_in_a_span(answer).instrument(tracing::info_span!("outer")));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("instrumented-inside", wraps(answer));
    planted.keep(sender);
    planted.spawn("complete", ends());
    planted.spawn("panicked", panics());

    // A runtime that nobody runs.
    let idle = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let (sender, answer) = oneshot::channel();
    let (handle, cell) = cells::of(|| idle.spawn(is_never_polled(answer)));
    planted.add("unresumed", cell);
    planted.keep((sender, handle));
    // It must not be dropped where a runtime runs.
    std::mem::forget(idle);

    let (sender, blocked) = threads::channel();
    let busy = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime can be built");
    let (handle, cell) = cells::of(|| busy.spawn(never_lets_go(blocked)));
    planted.add("blocks-its-thread", cell);
    planted.keep((sender, handle));
    std::mem::forget(busy);
}
