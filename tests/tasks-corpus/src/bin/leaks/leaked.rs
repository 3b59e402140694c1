//! Tasks that nobody can wake.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex};

use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::{TASKS, spawn};

/// The functions whose tasks are leaked.
pub(crate) const KINDS: [&str; 23] = [
    "leaked_self_held",
    "leaked_unbounded",
    "leaked_by_struct",
    "leaked_in_pairs",
    "leaked_in_ring",
    "leaked_by_forgotten_permits",
    "leaked_by_second_lock",
    "leaked_by_second_write",
    "leaked_in_own_map",
    "leaked_in_join",
    "leaked_in_select",
    "leaked_after_cancelled_half",
    "leaked_by_broadcast",
    "leaked_by_watch",
    "leaked_by_notify",
    "leaked_at_barrier",
    "leaked_parent",
    "leaked_child",
    "leaked_when_full",
    "leaked_in_boxed_future",
    "leaked_in_own_queue",
    "leaked_until_closed",
    "leaked_for_nothing",
];

async fn leaked_self_held(sender: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    drop(sender);
}

async fn leaked_unbounded(sender: mpsc::UnboundedSender<u8>, mut receiver: mpsc::UnboundedReceiver<u8>) {
    receiver.recv().await;
    drop(sender);
}

/// A service, as in the demo: the task holds it, and it holds the sender.
struct Service {
    sender: mpsc::Sender<u8>,
}

async fn leaked_by_struct(service: Arc<Service>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    let _ = service.sender.try_send(1);
}

async fn leaked_in_pairs(other: oneshot::Sender<u8>, own: oneshot::Receiver<u8>) {
    let received = own.await;
    drop(received);
    let _ = other.send(1);
}

async fn leaked_in_ring(next: mpsc::Sender<u8>, mut own: mpsc::Receiver<u8>) {
    while let Some(number) = own.recv().await {
        let _ = next.send(number).await;
    }
}

async fn doubtful_in_box(mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
}

async fn doubtful_in_cycle(mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
}

struct Cyclic {
    _sender: mpsc::Sender<u8>,
    other: StdMutex<Option<Arc<Cyclic>>>,
}

async fn leaked_by_forgotten_permits(semaphore: Arc<Semaphore>) {
    semaphore.acquire().await.expect("it is open").forget();
    drop(semaphore.acquire().await);
}

async fn leaked_by_second_lock(mutex: Arc<Mutex<u8>>) {
    let first = mutex.lock().await;
    let second = mutex.lock().await;
    drop((first, second));
}

async fn leaked_by_second_write(lock: Arc<RwLock<u8>>) {
    let first = lock.read().await;
    let second = lock.write().await;
    drop(second);
    drop(first);
}

async fn leaked_in_own_map() {
    let mut waiting = HashMap::new();
    let (answer, answered) = oneshot::channel::<u8>();
    waiting.insert(7_u64, answer);
    let answered = answered.await;
    drop((waiting, answered));
}

async fn leaked_in_join() {
    let (to_second, mut first) = mpsc::channel::<u8>(1);
    let (to_first, mut second) = mpsc::channel::<u8>(1);
    let one = async move {
        first.recv().await;
        drop(to_first);
    };
    let other = async move {
        second.recv().await;
        drop(to_second);
    };
    tokio::join!(one, other);
}

async fn leaked_in_select() {
    let (sender, mut ticks) = mpsc::channel::<u8>(1);
    let (done, is_done) = oneshot::channel::<u8>();
    tokio::select! {
        _ = ticks.recv() => {}
        _ = is_done => {}
    }
    drop((sender, done));
}

/// One of the two is closed, so that only the other one is waited for.
async fn leaked_after_cancelled_half() {
    let (sender, mut ticks) = mpsc::channel::<u8>(1);
    let (done, mut is_done) = mpsc::channel::<u8>(1);
    drop(done);
    tokio::select! {
        Some(_) = ticks.recv() => {}
        Some(_) = is_done.recv() => {}
    }
    drop(sender);
}

async fn leaked_by_broadcast() {
    let (sender, mut receiver) = broadcast::channel::<u8>(4);
    let received = receiver.recv().await;
    drop((sender, received));
}

async fn leaked_by_watch() {
    let (sender, mut receiver) = watch::channel(1_u8);
    let changed = receiver.changed().await;
    drop((sender, changed));
}

async fn leaked_by_notify(notify: Arc<Notify>) {
    notify.notified().await;
}

async fn leaked_at_barrier(barrier: Arc<Barrier>) {
    barrier.wait().await;
}

async fn leaked_parent(child: JoinHandle<()>, sender: oneshot::Sender<u8>) {
    let ended = child.await;
    drop((sender, ended));
}

async fn leaked_child(receiver: oneshot::Receiver<u8>) {
    drop(receiver.await);
}

async fn leaked_when_full() {
    let (sender, receiver) = mpsc::channel::<u8>(1);
    let _ = sender.send(1).await;
    let _ = sender.send(2).await;
    drop(receiver);
}

fn leaked_in_boxed_future() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async {
        let (sender, mut receiver) = mpsc::channel::<u8>(1);
        receiver.recv().await;
        drop(sender);
    })
}

/// What would wake it is in a queue that it alone could read.
async fn leaked_in_own_queue() {
    let (queue, queued) = mpsc::channel::<oneshot::Sender<u8>>(4);
    let (answer, answered) = oneshot::channel::<u8>();
    drop(queue.send(answer).await);
    let answered = answered.await;
    drop((answered, queue, queued));
}

async fn leaked_until_closed() {
    let (sender, receiver) = mpsc::channel::<u8>(1);
    sender.closed().await;
    drop(receiver);
}

async fn leaked_for_nothing() {
    std::future::pending::<()>().await;
}

/// Who holds the sender has let go of it, and nobody has closed the channel. The `Arc`'s count tells of a pointer that is nowhere.
async fn doubtful_forgotten(mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
}

async fn doubtful_guard(mutex: Arc<Mutex<u8>>) {
    drop(mutex.lock().await);
}

/// What it waits for is in its own memory, which it may have lent.
async fn doubtful_own_notify() {
    let notify = Notify::new();
    notify.notified().await;
}

/// Spawns tasks of each kind.
#[inline(never)]
pub(crate) async fn plant() {
    spawn!({
        let (sender, receiver) = mpsc::channel(1);
        leaked_self_held(sender, receiver)
    });
    spawn!({
        let (sender, receiver) = mpsc::unbounded_channel();
        leaked_unbounded(sender, receiver)
    });
    spawn!({
        let (sender, receiver) = mpsc::channel(1);
        leaked_by_struct(Arc::new(Service { sender }), receiver)
    });
    plant_groups();
    plant_lost();
    spawn!(leaked_by_forgotten_permits(Arc::new(Semaphore::new(1))));
    spawn!(leaked_by_second_lock(Arc::default()));
    spawn!(leaked_by_second_write(Arc::default()));
    spawn!(leaked_in_own_map());
    spawn!(leaked_in_join());
    spawn!(leaked_in_select());
    spawn!(leaked_after_cancelled_half());
    spawn!(leaked_by_broadcast());
    spawn!(leaked_by_watch());
    spawn!(leaked_by_notify(Arc::default()));
    spawn!(leaked_when_full());
    spawn!(leaked_in_boxed_future());
    spawn!(leaked_in_own_queue());
    spawn!(leaked_until_closed());
    spawn!(leaked_for_nothing());
    spawn!(doubtful_own_notify());
}

/// Spawns tasks that wait for each other.
fn plant_groups() {
    for _ in 0..TASKS {
        let [(to_first, first), (to_second, second)] = [oneshot::channel(), oneshot::channel()];
        drop(tokio::spawn(leaked_in_pairs(to_second, first)));
        drop(tokio::spawn(leaked_in_pairs(to_first, second)));
    }
    for _ in 0..TASKS / 3 {
        let [(a, of_a), (b, of_b), (c, of_c)] = [mpsc::channel(1), mpsc::channel(1), mpsc::channel(1)];
        drop(tokio::spawn(leaked_in_ring(b, of_a)));
        drop(tokio::spawn(leaked_in_ring(c, of_b)));
        drop(tokio::spawn(leaked_in_ring(a, of_c)));
    }
    for _ in 0..TASKS / 2 {
        let barrier = Arc::new(Barrier::new(3));
        drop(tokio::spawn(leaked_at_barrier(barrier.clone())));
        drop(tokio::spawn(leaked_at_barrier(barrier)));
    }
    for _ in 0..TASKS {
        let (sender, receiver) = oneshot::channel();
        drop(tokio::spawn(leaked_parent(tokio::spawn(leaked_child(receiver)), sender)));
    }
}

/// Spawns tasks whose senders nobody can reach.
fn plant_lost() {
    for _ in 0..TASKS {
        let (sender, receiver) = mpsc::channel(1);
        Box::leak(Box::new(sender));
        drop(tokio::spawn(doubtful_in_box(receiver)));
        let (sender, receiver) = mpsc::channel(1);
        let cyclic = |sender| Arc::new(Cyclic { _sender: sender, other: StdMutex::new(None) });
        let [a, b] = [cyclic(sender.clone()), cyclic(sender)];
        *a.other.lock().unwrap() = Some(b.clone());
        *b.other.lock().unwrap() = Some(a);
        drop(tokio::spawn(doubtful_in_cycle(receiver)));
        let (sender, receiver) = mpsc::channel(1);
        std::mem::forget(sender);
        drop(tokio::spawn(doubtful_forgotten(receiver)));
        let mutex = Arc::new(Mutex::new(1));
        std::mem::forget(mutex.clone().try_lock_owned());
        drop(tokio::spawn(doubtful_guard(mutex)));
    }
}
