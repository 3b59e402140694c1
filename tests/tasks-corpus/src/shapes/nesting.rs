//! Tasks whose futures contain one another.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use crate::planted::Planted;

async fn first(ticks: mpsc::Receiver<u8>) -> u8 {
    second(ticks).await // via: nested 1
}

async fn second(ticks: mpsc::Receiver<u8>) -> u8 {
    let mut sum = 0;
    sum += third(ticks).await; // via: nested 2
    sum
}

async fn third(ticks: mpsc::Receiver<u8>) -> u8 {
    let prepared = std::hint::black_box([1_u8; 40]);
    let found = fourth(ticks).await; // via: nested 3
    found + prepared[3]
}

async fn fourth(ticks: mpsc::Receiver<u8>) -> u8 {
    tokio::task::yield_now().await;
    fifth(ticks).await.unwrap_or(0) // via: nested 4
}

async fn fifth(mut ticks: mpsc::Receiver<u8>) -> Option<u8> {
    ticks.recv().await // waits: nested
}

async fn calls<T, F: Future<Output = Option<T>>>(
    make: impl FnOnce(mpsc::Receiver<T>) -> F,
    ticks: mpsc::Receiver<T>,
) -> bool {
    make(ticks).await.is_some() // via: generic 1
}

async fn receives<T>(mut ticks: mpsc::Receiver<T>) -> Option<T> {
    ticks.recv().await // waits: generic
}

trait Store {
    fn get(&self) -> impl Future<Output = u32> + Send;
}

struct Remote(tokio::sync::Mutex<oneshot::Receiver<u32>>);

impl Store for Remote {
    async fn get(&self) -> u32 {
        let mut answer = self.0.lock().await;
        (&mut *answer).await.unwrap_or(0) // waits: trait-method
    }
}

async fn asks(store: impl Store) -> u32 {
    store.get().await // via: trait-method 1
}

async fn over_several_lines(ticks: std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<u8>>>) -> Option<u8> {
    ticks.lock().await.recv().await // waits: over-lines
}

/// Two lines wait for the same kind of future, and the second is where it stops.
async fn waits_twice(mut ticks: mpsc::Receiver<u8>) -> u8 {
    let one = ticks.recv().await.unwrap_or(0);
    let other = ticks.recv().await.unwrap_or(0); // waits: second-of-two
    one + other
}

async fn goes_down(depth: u32, answer: oneshot::Receiver<u32>) -> u32 {
    if depth == 0 {
        answer.await.unwrap_or(0) // waits: recursion
    } else {
        let below = Box::pin(goes_down(depth - 1, answer));
        below.await + 1 // via: recursion 1 2 3
    }
}

pub(super) fn plant(planted: &mut Planted) {
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("nested", first(ticks));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel::<u16>(1);
    planted.spawn("generic", calls(receives, ticks));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("trait-method", asks(Remote(tokio::sync::Mutex::new(answer))));
    planted.keep(sender);
    let (sender, mut ticks) = mpsc::channel(1);
    planted.spawn("async-block", async move {
        let tick = ticks.recv().await; // waits: async-block
        tick == Some(1_u64)
    });
    planted.keep(sender);
    let (sender, answer) = oneshot::channel::<u8>();
    let closure = async move |plus: u8| {
        let answer = answer.await; // waits: async-closure
        answer.unwrap_or(0) + plus
    };
    planted.spawn("async-closure", closure(1));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("over-lines", over_several_lines(std::sync::Arc::new(tokio::sync::Mutex::new(ticks))));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    sender.try_send(7).expect("there is room for one");
    planted.spawn("second-of-two", waits_twice(ticks));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("recursion", goes_down(3, answer));
    planted.keep(sender);
}
