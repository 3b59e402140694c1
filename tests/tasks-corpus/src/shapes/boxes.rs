//! Tasks that wait for futures in blocks of their own.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use crate::planted::Planted;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn receives(mut ticks: mpsc::Receiver<u32>) -> Option<u32> {
    ticks.recv().await // waits: dyn-future
}

async fn awaits_anything(future: Boxed<Option<u32>>) -> bool {
    future.await.is_some() // via: dyn-future 1
}

/// What the macro `async_trait` writes.
trait Handler: Sync {
    fn handle<'a>(&'a self, request: u32) -> Pin<Box<dyn Future<Output = u32> + Send + 'a>>;
}

struct Forwards {
    answers: tokio::sync::Mutex<mpsc::Receiver<u32>>,
}

impl Handler for Forwards {
    fn handle<'a>(&'a self, request: u32) -> Pin<Box<dyn Future<Output = u32> + Send + 'a>> {
        Box::pin(async move {
            let mut answers = self.answers.lock().await;
            answers.recv().await.unwrap_or(request) // waits: async-trait
        })
    }
}

async fn serves(handler: Box<dyn Handler + Send>) -> u32 {
    handler.handle(1).await // via: async-trait 1
}

async fn pins_a_box(answer: oneshot::Receiver<u8>) {
    let inner = Box::pin(async move {
        answer.await.is_ok() // waits: pinned-box
    });
    let _answer = inner.await; // via: pinned-box 1
}

async fn boxes_in_boxes(answer: oneshot::Receiver<u8>) {
    let inner: Boxed<bool> = Box::pin(async move {
        answer.await.is_ok() // waits: dyn-in-dyn
    });
    let outer: Boxed<bool> = Box::pin(async move {
        !inner.await // via: dyn-in-dyn 2
    });
    let _answer = outer.await; // via: dyn-in-dyn 1
}

async fn pins_on_the_stack(answer: oneshot::Receiver<u8>) {
    let inner = async move {
        answer.await.is_ok() // waits: pinned-here
    };
    tokio::pin!(inner);
    let _answer = inner.as_mut().await; // via: pinned-here 1
}

/// Tokio puts a future of this size into a block of its own.
async fn is_large(answer: oneshot::Receiver<u8>) -> u8 {
    let table = std::hint::black_box([1_u8; 40 << 10]);
    let answer = answer.await; // waits: large
    answer.map_or(0, |index| table[usize::from(index)])
}

pub(super) fn plant(planted: &mut Planted) {
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("dyn-future", awaits_anything(Box::pin(receives(ticks))));
    planted.keep(sender);
    let (sender, answers) = mpsc::channel(1);
    planted.spawn("async-trait", serves(Box::new(Forwards { answers: tokio::sync::Mutex::new(answers) })));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("pinned-box", pins_a_box(answer));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("dyn-in-dyn", boxes_in_boxes(answer));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("pinned-here", pins_on_the_stack(answer));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel();
    planted.spawn("large", is_large(answer));
    planted.keep(sender);
    let (sender, answer) = oneshot::channel::<u8>();
    let root: Boxed<bool> = Box::pin(async move {
        answer.await.is_ok() // waits: dyn-root
    });
    planted.spawn("dyn-root", root);
    planted.keep(sender);
}
