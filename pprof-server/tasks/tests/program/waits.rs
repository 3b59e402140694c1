//! What tasks of this program wait for, and where that is in memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tasks::{Kind, Masked, Memory, State, Unread, Wait, Waiting};
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};

use crate::program::Program;

/// Spawns `future`, waits until it waits, and returns what for.
fn waiting<F: Future<Output: Send> + Send + 'static>(future: F) -> Waiting {
    let mut program = Program::new();
    let handle = program.runtime.spawn(future);
    for _ in 0..60_000 {
        match program.index.read_waiting(&program.memory, program.block(&handle)) {
            Ok(found)
                if found.task.state == State::Suspended && found.task.future.kind != Kind::Unresumed =>
            {
                return found;
            }
            Ok(_) | Err(Unread::Busy) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it does not wait");
}

/// Returns the first word of a value, which of one end of a channel is the address of what both ends share.
fn word_of<T>(value: &T) -> u64 {
    let mut word = [0; 8];
    Program::new().memory.read(&raw const *value as u64, &mut word).unwrap();
    u64::from_ne_bytes(word)
}

/// Waits must be of this kind, and for something that begins there, or is in the `bytes` after it.
fn assert_shared<F: Future<Output: Send> + Send + 'static>(future: F, kind: &str, start: u64, bytes: u64) {
    let found = waiting(future);
    assert!(found.has_handle);
    // The runtime, the handle, and what is waited for.
    assert_eq!(found.references, 3, "{found:#?}");
    let [Wait::Shared { what, parts }] = &found.waits[..] else { panic!("{found:#?}") };
    assert_eq!(*what, kind);
    assert!(!parts.is_empty());
    for part in parts {
        let address = part.address.address();
        assert!((start..start + bytes.max(1)).contains(&address), "{address:#x} {start:#x}");
        assert!(!part.is_counted || address == start);
        assert!(part.is_counted || bytes > 0);
    }
}

#[test]
fn channels_are_what_both_ends_share() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let shared = word_of(&sender);
    assert_shared(async move { receiver.recv().await }, "mpsc", shared, 0);
    let (sender, receiver) = mpsc::channel::<u8>(1);
    sender.try_send(1).unwrap();
    let shared = word_of(&receiver);
    assert_shared(async move { sender.send(2).await.is_ok() }, "mpsc", shared, 1 << 10);
    let (sender, receiver) = oneshot::channel::<u8>();
    let shared = word_of(&sender);
    assert_shared(receiver, "oneshot", shared, 0);
    let (sender, mut receiver) = broadcast::channel::<u8>(1);
    let shared = word_of(&sender);
    assert_shared(async move { receiver.recv().await.is_ok() }, "broadcast", shared, 0);
    let (sender, mut receiver) = watch::channel(1_u8);
    let shared = word_of(&sender);
    assert_shared(async move { receiver.changed().await.is_ok() }, "watch", shared, 1 << 10);
}

#[test]
fn locks_are_where_their_owner_has_them() {
    let mutex = Arc::new(Mutex::new(1_u8));
    let (guard, shared) = (mutex.try_lock().unwrap(), word_of(&mutex));
    let other = mutex.clone();
    assert_shared(async move { *other.lock().await }, "mutex", shared, 128);
    drop(guard);
    let semaphore = Arc::new(Semaphore::new(0));
    let (shared, other) = (word_of(&semaphore), semaphore.clone());
    assert_shared(async move { other.acquire().await.is_ok() }, "semaphore", shared, 128);
    let (shared, other) = (word_of(&semaphore), semaphore.clone());
    assert_shared(async move { other.acquire_owned().await.is_ok() }, "semaphore", shared, 128);
    let notify = Arc::new(Notify::new());
    let (shared, other) = (word_of(&notify), notify.clone());
    assert_shared(async move { other.notified().await }, "notify", shared, 128);
    let (shared, other) = (word_of(&notify), notify.clone());
    assert_shared(async move { other.notified_owned().await }, "notify", shared, 0);
}

#[test]
fn several_futures_are_waited_for_at_once() {
    let (sender, mut ticks) = mpsc::channel::<u8>(1);
    let (done, is_done) = oneshot::channel::<u8>();
    let found = waiting(async move {
        tokio::select! {
            _ = ticks.recv() => {}
            _ = is_done => {}
        }
    });
    let what = |wait: &Wait| match wait {
        Wait::Shared { what, .. } => *what,
        other => panic!("{other:?}"),
    };
    let whats: Vec<&str> = found.waits.iter().map(what).collect();
    assert_eq!(whats, ["mpsc", "oneshot"]);
    assert_eq!(found.references, 4);
    drop((sender, done));
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let never = std::future::pending::<()>();
    let found = waiting(async move { tokio::join!(receiver.recv(), never) });
    assert!(matches!(found.waits[..], [Wait::Shared { what: "mpsc", .. }, Wait::Never]), "{found:#?}");
    drop(sender);
}

#[test]
fn what_comes_from_outside_and_what_is_not_known_is_said() {
    const LONG: Duration = Duration::from_secs(86_400);
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let found = waiting(async move { tokio::time::timeout(LONG, receiver.recv()).await.is_ok() });
    assert_eq!(found.waits, [Wait::Event]);
    drop(sender);
    assert_eq!(waiting(async { tokio::time::sleep(LONG).await }).waits, [Wait::Event]);
    let found =
        waiting(async { tokio::net::TcpListener::bind("127.0.0.1:0").await?.accept().await.map(drop) });
    assert_eq!(found.waits, [Wait::Event], "{found:#?}");
    let by_hand = std::future::poll_fn(|_| std::task::Poll::<()>::Pending);
    assert_eq!(waiting(by_hand).waits, [Wait::Unknown]);
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let by_hand = std::future::poll_fn(move |context| receiver.poll_recv(context));
    assert_eq!(waiting(by_hand).waits, [Wait::Unknown]);
    drop(sender);
}

#[test]
fn a_handle_is_of_the_task_that_it_waits_for() {
    let program = Program::new();
    let child = program.runtime.spawn(std::future::pending::<()>());
    let address = program.block(&child).address;
    let found = waiting(async move { child.await.is_ok() });
    assert_eq!(found.waits, [Wait::Task(Masked::of(address))]);
}
