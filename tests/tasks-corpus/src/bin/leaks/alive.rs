//! Tasks that somebody can wake, or may be able to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::{TASKS, spawn};

const LONG: Duration = Duration::from_secs(86_400);

static SENDERS: Mutex<Vec<mpsc::Sender<u8>>> = Mutex::new(Vec::new());
static ANSWERS: LazyLock<Mutex<HashMap<u64, oneshot::Sender<u8>>>> = LazyLock::new(Mutex::default);
static SEMAPHORE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(0)));
static NOTIFY: Notify = Notify::const_new();
static LEAKED: OnceLock<&'static mpsc::Sender<u8>> = OnceLock::new();
static HANDLES: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());
static ABORT_HANDLES: Mutex<Vec<AbortHandle>> = Mutex::new(Vec::new());
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
static BROADCAST: OnceLock<broadcast::Sender<u8>> = OnceLock::new();
static WATCH: OnceLock<watch::Sender<u8>> = OnceLock::new();
static MASKED: AtomicUsize = AtomicUsize::new(0);
static OTHER_MASKED: AtomicUsize = AtomicUsize::new(0);
static SET: Mutex<Option<JoinSet<()>>> = Mutex::new(None);

thread_local! {
    static OF_THREAD: RefCell<Vec<mpsc::Sender<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Makes functions whose tasks wait for a message.
macro_rules! receivers {
    ($($name:ident)*) => {$(
        async fn $name(mut receiver: mpsc::Receiver<u8>) {
            // The compiler makes one function of those whose code is the same.
            std::hint::black_box(stringify!($name));
            receiver.recv().await;
        }
    )*};
}

receivers! {
    alive_in_static alive_in_sleeping_task alive_in_task_at_socket alive_on_stack alive_in_thread_local alive_in_leaked_box
    alive_by_chain alive_in_queue_of_thread alive_in_blocking_thread alive_in_other_runtime alive_in_task_by_hand
    alive_behind_masked_pointer alive_in_running_task alive_with_weak_sender
}

/// The address of what is masked is in the memory of the task too, as a number: so are words that were left behind.
async fn alive_behind_masked_pointer_of_which_a_word_is_left(mut receiver: mpsc::Receiver<u8>, word: usize) {
    receiver.recv().await;
    black_box(word);
}

async fn alive_in_map(receiver: oneshot::Receiver<u8>) {
    drop(receiver.await);
}

async fn alive_by_semaphore(semaphore: Arc<Semaphore>) {
    drop(semaphore.acquire().await);
}

async fn alive_by_static_notify() {
    NOTIFY.notified().await;
}

async fn alive_by_broadcast(mut receiver: broadcast::Receiver<u8>) {
    drop(receiver.recv().await);
}

async fn alive_by_watch(mut receiver: watch::Receiver<u8>) {
    drop(receiver.changed().await);
}

async fn alive_with_timer() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    tokio::select! {
        _ = receiver.recv() => {}
        () = tokio::time::sleep(LONG) => {}
    }
    drop(sender);
}

async fn alive_with_limit() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    drop(tokio::time::timeout(LONG, receiver.recv()).await);
    drop(sender);
}

async fn alive_with_handle(sender: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    drop(sender);
}

async fn alive_with_abort_handle(sender: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    drop(sender);
}

async fn alive_in_set() {
    std::future::pending::<()>().await;
}

/// It waits for its own channel, and somebody else can wake it in a way that is its own.
async fn alive_by_hand() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let by_hand = std::future::poll_fn(|context| {
        WAKERS.lock().unwrap().push(context.waker().clone());
        Poll::<()>::Pending
    });
    tokio::select! {
        _ = receiver.recv() => {}
        () = by_hand => {}
    }
    drop(sender);
}

async fn alive_at_socket(listener: TcpListener) {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    tokio::select! {
        _ = receiver.recv() => {}
        _ = listener.accept() => {}
    }
    drop(sender);
}

async fn sleeps_with<T>(kept: T) {
    tokio::time::sleep(LONG).await;
    drop(kept);
}

async fn accepts_with<T>(listener: TcpListener, kept: T) {
    drop(listener.accept().await);
    drop(kept);
}

async fn waits_by_hand_with<T>(kept: T) {
    std::future::poll_fn(|context| {
        WAKERS.lock().unwrap().push(context.waker().clone());
        Poll::<()>::Pending
    })
    .await;
    drop(kept);
}

/// It is hardly ever found waiting.
async fn runs_with<T>(kept: T) {
    loop {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::hint::black_box(&kept);
    }
}

async fn alive_until_sent(own: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    drop(own);
}

/// Spawns as many tasks as there are of each kind, and passes the sender of each to `keep`.
fn with_sender<F: Future<Output = ()> + Send + 'static>(
    task: impl Fn(mpsc::Receiver<u8>) -> F,
    mut keep: impl FnMut(mpsc::Sender<u8>),
) {
    for _ in 0..TASKS {
        let (sender, receiver) = mpsc::channel(1);
        drop(tokio::spawn(task(receiver)));
        keep(sender);
    }
}

/// Spawns tasks of each kind.
#[inline(never)]
pub(crate) async fn plant() {
    // A list that grows has words of others in its spare room.
    SENDERS.lock().unwrap().reserve_exact(2 * TASKS);
    let in_static = |sender| SENDERS.lock().unwrap().push(sender);
    with_sender(alive_in_static, in_static);
    with_sender(alive_in_sleeping_task, |sender| drop(tokio::spawn(sleeps_with(sender))));
    with_sender(alive_in_task_by_hand, |sender| drop(tokio::spawn(waits_by_hand_with(sender))));
    with_sender(alive_in_running_task, |sender| drop(tokio::spawn(runs_with(sender))));
    with_sender(alive_with_weak_sender, |sender| {
        let weak = sender.downgrade();
        drop(tokio::spawn(sleeps_with(weak)));
        in_static(sender);
    });
    with_sender(alive_by_chain, |sender| {
        let (next, receiver) = mpsc::channel(1);
        drop(tokio::spawn(alive_until_sent(sender, receiver)));
        drop(tokio::spawn(sleeps_with(next)));
    });
    let (leaked, receiver) = mpsc::channel(1);
    LEAKED.set(Box::leak(Box::new(leaked))).unwrap();
    drop(tokio::spawn(alive_in_leaked_box(receiver)));
    let (masked, receiver) = mpsc::channel::<u8>(1);
    MASKED.store(!(Box::into_raw(Box::new(masked)) as usize), Relaxed);
    drop(tokio::spawn(alive_behind_masked_pointer(receiver)));
    let (masked, receiver) = mpsc::channel::<u8>(1);
    let masked = Box::into_raw(Box::new(masked)) as usize;
    OTHER_MASKED.store(!masked, Relaxed);
    drop(tokio::spawn(alive_behind_masked_pointer_of_which_a_word_is_left(receiver, masked)));
    for number in 0..TASKS as u64 {
        let (sender, receiver) = oneshot::channel();
        ANSWERS.lock().unwrap().insert(number, sender);
        drop(tokio::spawn(alive_in_map(receiver)));
    }
    plant_shared();
    plant_handles();
    plant_threads();
    for _ in 0..TASKS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(tokio::spawn(alive_at_socket(listener)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, receiver) = mpsc::channel(1);
        drop(tokio::spawn(accepts_with(listener, sender)));
        drop(tokio::spawn(alive_in_task_at_socket(receiver)));
    }
    spawn!(alive_with_timer());
    spawn!(alive_with_limit());
    spawn!(alive_by_hand());
}

fn plant_shared() {
    spawn!(alive_by_semaphore(SEMAPHORE.clone()));
    spawn!(alive_by_static_notify());
    let sender = BROADCAST.get_or_init(|| broadcast::channel(4).0);
    spawn!(alive_by_broadcast(sender.subscribe()));
    let sender = WATCH.get_or_init(|| watch::channel(1).0);
    spawn!(alive_by_watch(sender.subscribe()));
}

fn plant_handles() {
    for _ in 0..TASKS {
        let (sender, receiver) = mpsc::channel(1);
        HANDLES.lock().unwrap().push(tokio::spawn(alive_with_handle(sender, receiver)));
        let (sender, receiver) = mpsc::channel(1);
        let handle = tokio::spawn(alive_with_abort_handle(sender, receiver));
        ABORT_HANDLES.lock().unwrap().push(handle.abort_handle());
        SET.lock().unwrap().get_or_insert_default().spawn(alive_in_set());
    }
}

/// Has threads hold senders, in all ways in which threads hold something.
fn plant_threads() {
    let mut senders = Vec::new();
    with_sender(alive_on_stack, |sender| senders.push(sender));
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        drop(senders);
    });
    let mut senders = Vec::new();
    with_sender(alive_in_thread_local, |sender| senders.push(sender));
    std::thread::spawn(move || {
        OF_THREAD.set(senders);
        std::thread::sleep(LONG);
    });
    let (queue, queued) = std::sync::mpsc::channel();
    with_sender(alive_in_queue_of_thread, |sender| queue.send(sender).unwrap());
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        drop((queue, queued));
    });
    with_sender(alive_in_blocking_thread, |sender| {
        let blocks = move || {
            std::thread::sleep(LONG);
            drop(sender);
        };
        drop(tokio::task::spawn_blocking(blocks));
    });
    let mut senders = Vec::new();
    with_sender(alive_in_other_runtime, |sender| senders.push(sender));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sleeps_with(senders));
    });
}
