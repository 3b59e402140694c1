//! Tasks that wait for other tasks, and tasks that stay on one thread.

use std::rc::Rc;
use std::sync::mpsc as threads;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, LocalSet};

use crate::cells;
use crate::planted::Planted;

async fn works(answer: oneshot::Receiver<u8>) -> u8 {
    answer.await.unwrap_or(0) // branch: join-set join-handle
}

async fn joins_a_set(answers: Vec<oneshot::Receiver<u8>>) {
    let mut set: JoinSet<u8> = answers.into_iter().map(works).collect();
    // waits: join-set
    while let Some(done) = set.join_next().await {
        drop(done);
    }
}

async fn joins_one(answer: oneshot::Receiver<u8>) -> u8 {
    let handle = tokio::spawn(works(answer));
    handle.await.unwrap_or(0) // waits: join-handle
}

async fn waits_for_a_thread(blocked: threads::Receiver<u8>) -> bool {
    let handle: JoinHandle<u8> = tokio::task::spawn_blocking(move || blocked.recv().unwrap_or(0));
    handle.await.is_ok() // waits: blocking-handle
}

async fn stays_here(name: Rc<str>, answer: oneshot::Receiver<u8>) -> usize {
    let answer = answer.await; // waits: local-set
    name.len() + answer.map_or(0, usize::from)
}

async fn on_one_thread(answer: oneshot::Receiver<u8>) -> bool {
    answer.await.is_ok() // waits: current-thread
}

/// Runs a runtime of one thread for ever, with a task of the thread's own and one of the runtime's.
fn run_on_one_thread(found: &threads::Sender<[usize; 2]>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let ((_first, answer), (_second, other)) = (oneshot::channel(), oneshot::channel());
    let local = LocalSet::new();
    let (_handle, in_set) = cells::of(|| local.spawn_local(stays_here(Rc::from("local"), answer)));
    let (_handle, in_runtime) = cells::of(|| runtime.spawn(on_one_thread(other)));
    found.send([in_set, in_runtime]).expect("somebody waits for that");
    runtime.block_on(local.run_until(std::future::pending::<()>()));
}

pub(super) fn plant(planted: &mut Planted) {
    let (senders, answers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
    planted.spawn("join-set", joins_a_set(answers));
    planted.keep(senders);
    let (sender, answer) = oneshot::channel();
    planted.spawn("join-handle", joins_one(answer));
    planted.keep(sender);
    let (sender, blocked) = threads::channel();
    planted.spawn("blocking-handle", waits_for_a_thread(blocked));
    planted.keep(sender);
    let (found, cells) = threads::channel();
    std::thread::spawn(move || run_on_one_thread(&found));
    let [in_set, in_runtime] = cells.recv().expect("the thread tells before it waits");
    planted.add("local-set", in_set);
    planted.add("current-thread", in_runtime);
}
