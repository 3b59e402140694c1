//! Tasks that wait for channels.

use std::hint::black_box;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::planted::Planted;

async fn reads_ticks(mut ticks: mpsc::Receiver<u64>) {
    // waits: mpsc
    while let Some(tick) = ticks.recv().await {
        black_box(tick);
    }
}

async fn reads_without_bound(mut ticks: mpsc::UnboundedReceiver<[u8; 24]>) -> usize {
    let mut count = 0;
    loop {
        let Some(tick) = ticks.recv().await else { break }; // waits: mpsc-unbounded
        count += tick.len();
    }
    count
}

async fn reads_many(mut ticks: mpsc::Receiver<u64>) {
    let mut all = Vec::new();
    ticks.recv_many(&mut all, 10).await; // waits: mpsc-many
}

async fn sends_to_a_full_channel(ticks: mpsc::Sender<u64>) {
    for tick in 0.. {
        // waits: mpsc-send
        if ticks.send(tick).await.is_err() {
            return;
        }
    }
}

async fn awaits_an_answer(answer: oneshot::Receiver<String>) -> usize {
    let answer = answer.await; // waits: oneshot
    answer.map_or(0, |answer| answer.len())
}

async fn listens(mut news: broadcast::Receiver<u32>) {
    let _first = news.recv().await; // waits: broadcast
}

async fn watches(mut value: watch::Receiver<u32>) {
    // waits: watch
    while value.changed().await.is_ok() {
        black_box(*value.borrow());
    }
}

async fn waits_until_closed(ticks: mpsc::Sender<u64>) {
    ticks.closed().await; // waits: mpsc-closed
}

pub(super) fn plant(planted: &mut Planted) {
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("mpsc", reads_ticks(ticks));
    planted.spawn("mpsc-closed", waits_until_closed(sender));
    let (sender, ticks) = mpsc::unbounded_channel();
    planted.spawn("mpsc-unbounded", reads_without_bound(ticks));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("mpsc-many", reads_many(ticks));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(3);
    planted.spawn("mpsc-send", sends_to_a_full_channel(sender));
    planted.keep(ticks);
    let (sender, answer) = oneshot::channel();
    planted.spawn("oneshot", awaits_an_answer(answer));
    planted.keep(sender);
    let (sender, news) = broadcast::channel(4);
    planted.spawn("broadcast", listens(news));
    planted.keep(sender);
    let (sender, value) = watch::channel(1);
    planted.spawn("watch", watches(value));
    planted.keep(sender);
}
