//! Tasks that wait for locks and signals of other tasks.

use std::sync::Arc;

use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore};

use crate::planted::Planted;

async fn is_notified(notify: Arc<Notify>) {
    notify.notified().await; // waits: notify
}

async fn locks(mutex: Arc<Mutex<u32>>) {
    let mut guard = mutex.lock().await; // waits: mutex
    *guard += 1;
}

async fn locks_owned(mutex: Arc<Mutex<Vec<u8>>>) {
    let guard = mutex.lock_owned().await; // waits: mutex-owned
    drop(guard);
}

async fn acquires(semaphore: Arc<Semaphore>) {
    let permits = semaphore.acquire_many(2).await; // waits: semaphore
    drop(permits);
}

async fn acquires_owned(semaphore: Arc<Semaphore>) {
    let permit = semaphore.acquire_owned().await; // waits: semaphore-owned
    drop(permit);
}

async fn reads(lock: Arc<RwLock<String>>) -> usize {
    let guard = lock.read().await; // waits: rwlock-read
    guard.len()
}

async fn writes(lock: Arc<RwLock<String>>) {
    let mut guard = lock.write().await; // waits: rwlock-write
    guard.clear();
}

async fn meets(barrier: Arc<Barrier>) {
    barrier.wait().await; // waits: barrier
}

async fn sets_once(cell: Arc<OnceCell<u64>>) -> u64 {
    let value = cell.get_or_init(async || {
        std::future::pending::<u64>().await // waits: once-cell
    });
    *value.await // via: once-cell 1
}

pub(super) fn plant(planted: &mut Planted) {
    let notify = Arc::new(Notify::new());
    planted.spawn("notify", is_notified(notify.clone()));
    let mutex = Arc::new(Mutex::new(1));
    planted.keep(mutex.clone().try_lock_owned());
    planted.spawn("mutex", locks(mutex));
    let mutex = Arc::new(Mutex::new(Vec::new()));
    planted.keep(mutex.clone().try_lock_owned());
    planted.spawn("mutex-owned", locks_owned(mutex));
    let semaphore = Arc::new(Semaphore::new(1));
    planted.spawn("semaphore", acquires(semaphore));
    let semaphore = Arc::new(Semaphore::new(0));
    planted.spawn("semaphore-owned", acquires_owned(semaphore));
    let lock = Arc::new(RwLock::new(String::new()));
    planted.keep(lock.clone().try_write_owned());
    planted.spawn("rwlock-read", reads(lock.clone()));
    planted.spawn("rwlock-write", writes(lock));
    planted.spawn("barrier", meets(Arc::new(Barrier::new(2))));
    planted.spawn("once-cell", sets_once(Arc::new(OnceCell::new())));
    planted.keep(notify);
}
