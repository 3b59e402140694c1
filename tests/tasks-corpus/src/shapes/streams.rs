//! Tasks that wait for the next item of a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::planted::Planted;

/// A channel serves as a stream.
struct Ticks(mpsc::Receiver<u8>);

impl Stream for Ticks {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u8>> {
        self.0.poll_recv(context)
    }
}

async fn takes_the_next(mut ticks: Ticks) -> u32 {
    let mut sum = 0;
    // waits: stream-next
    while let Some(tick) = ticks.next().await {
        sum += u32::from(tick);
    }
    sum
}

async fn takes_from_a_combinator(ticks: mpsc::Receiver<u8>) {
    let mut items = Box::pin(stream::unfold(ticks, async |mut ticks| {
        let tick = ticks.recv().await?; // waits: stream-unfold
        Some((tick, ticks))
    }));
    let _item = items.next().await; // via: stream-unfold 1
}

async fn takes_from_any(mut ticks: Pin<Box<dyn Stream<Item = u8> + Send>>) {
    let _tick = ticks.next().await; // waits: dyn-stream
}

async fn one(answer: oneshot::Receiver<u8>) -> u8 {
    answer.await.unwrap_or(0) // branch: futures-unordered buffered
}

async fn takes_whichever_comes(answers: Vec<oneshot::Receiver<u8>>) {
    let mut pending: FuturesUnordered<_> = answers.into_iter().map(one).collect();
    // waits: futures-unordered
    while let Some(answer) = pending.next().await {
        std::hint::black_box(answer);
    }
}

async fn takes_buffered(answers: Vec<oneshot::Receiver<u8>>) {
    let all: Vec<u8> = stream::iter(answers).map(one).buffer_unordered(2).collect().await; // waits: buffered
    drop(all);
}

pub(super) fn plant(planted: &mut Planted) {
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("stream-next", takes_the_next(Ticks(ticks)));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("stream-unfold", takes_from_a_combinator(ticks));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("dyn-stream", takes_from_any(Box::pin(Ticks(ticks))));
    planted.keep(sender);
    for shape in ["futures-unordered", "buffered"] {
        let (senders, answers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        planted.keep(senders);
        match shape {
            "buffered" => planted.spawn(shape, takes_buffered(answers)),
            _ => planted.spawn(shape, takes_whichever_comes(answers)),
        }
    }
}
