//! Tasks that wait for several futures at once.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::{mpsc, oneshot};

use crate::planted::Planted;

async fn selects_two(mut ticks: mpsc::Receiver<u8>, mut is_done: oneshot::Receiver<()>) -> u32 {
    let mut count = 0;
    loop {
        tokio::select! { // waits: select-two
            Some(_) = ticks.recv() => count += 1,
            _ = &mut is_done => return count,
        }
    }
}

async fn receives(mut ticks: mpsc::Receiver<u8>) -> Option<u8> {
    ticks.recv().await // branch: select-functions
}

async fn pauses() {
    tokio::time::sleep(Duration::from_secs(86_400)).await; // branch: select-functions
}

async fn selects_functions(ticks: mpsc::Receiver<u8>) {
    tokio::select! { // waits: select-functions
        tick = receives(ticks) => assert!(tick.is_none()),
        () = pauses() => {}
    }
}

async fn selects_three(mut ticks: mpsc::Receiver<u8>, mut others: mpsc::Receiver<u16>) {
    tokio::select! { // waits: select-three
        biased;
        _ = ticks.recv() => {}
        _ = others.recv() => {}
        () = tokio::time::sleep(Duration::from_secs(86_400)) => {}
    }
}

async fn waits_below(ticks: mpsc::Receiver<u8>, is_done: oneshot::Receiver<()>) -> u32 {
    selects_below(ticks, is_done).await // via: select-below 1
}

async fn selects_below(mut ticks: mpsc::Receiver<u8>, is_done: oneshot::Receiver<()>) -> u32 {
    tokio::select! { // waits: select-below
        _ = ticks.recv() => 1,
        _ = is_done => 2,
    }
}

async fn one(answer: oneshot::Receiver<u8>) -> u8 {
    answer.await.unwrap_or(0) // branch: join try-join join-all select-all
}

async fn ready() -> u8 {
    1
}

async fn joins(first: oneshot::Receiver<u8>, second: oneshot::Receiver<u8>) -> u8 {
    let (first, second, third) = tokio::join!(one(first), ready(), one(second)); // waits: join
    first + second + third
}

async fn fails(answer: oneshot::Receiver<u8>) -> Result<u8, oneshot::error::RecvError> {
    answer.await // branch: try-join
}

async fn tries_to_join(first: oneshot::Receiver<u8>, second: oneshot::Receiver<u8>) -> bool {
    tokio::try_join!(fails(first), fails(second)).is_ok() // waits: try-join
}

async fn joins_all(answers: Vec<oneshot::Receiver<u8>>) -> usize {
    let all = join_all(answers.into_iter().map(one)).await; // waits: join-all
    all.len()
}

async fn selects_any(answers: Vec<oneshot::Receiver<u8>>) -> usize {
    let boxed = answers.into_iter().map(|answer| Box::pin(one(answer)));
    let (_, index, _) = select_all(boxed).await; // waits: select-all
    index
}

pub(super) fn plant(planted: &mut Planted) {
    let mut answer = || {
        let (sender, answer) = oneshot::channel();
        planted.keep(sender);
        answer
    };
    let answers = [answer(), answer(), answer(), answer(), answer(), answer(), answer(), answer()];
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = answers;
    planted.spawn("join", joins(first, second));
    planted.spawn("try-join", tries_to_join(third, fourth));
    planted.spawn("join-all", joins_all(vec![fifth, sixth]));
    planted.spawn("select-all", selects_any(vec![seventh, eighth]));
    let (sender, ticks) = mpsc::channel(1);
    let (is_done, done) = oneshot::channel();
    planted.spawn("select-two", selects_two(ticks, done));
    planted.keep((sender, is_done));
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("select-functions", selects_functions(ticks));
    planted.keep(sender);
    let ((sender, ticks), (other, others)) = (mpsc::channel(1), mpsc::channel(1));
    planted.spawn("select-three", selects_three(ticks, others));
    planted.keep((sender, other));
    let (sender, ticks) = mpsc::channel(1);
    let (is_done, done) = oneshot::channel();
    planted.spawn("select-below", waits_below(ticks, done));
    planted.keep((sender, is_done));
}
