//! An executor is a thread that runs futures one after the other, and tells them the time.
//!
//! Each lane of the workers has one. It is not a runtime of tokio's: the thread of such a runtime sleeps in a lock of
//! `parking_lot` wherever some crate of the program asks tokio for that, and `parking_lot` keeps all sleepers of a
//! process in one table. A child of `fork` inherits the table, with threads in it that it does not have, and waits for
//! them for ever. What is used here (the standard library's channels) keeps nothing of the kind, and no file descriptor
//! either.
//!
//! Path: *read path*. A future that waits costs no time.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::own_thread;
use crate::process;

/// Runs one thread, which does jobs. When this is dropped, the thread ends after the work that it is doing, and all
/// other work is dropped undone.
#[derive(Debug)]
pub(crate) struct Executor {
    remote: Remote,
    thread: Option<JoinHandle<()>>,
}

/// The means by which others reach the thread.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    messages: Sender<Message>,
    is_over: Arc<AtomicBool>,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Message {
    Begin(u64, Work),
    GoOn(u64),
    Cancel(u64),
    /// `is_over` has been set.
    End,
}

impl Executor {
    /// Starts a thread of that name, which has done `first` when this returns.
    ///
    /// # Errors
    ///
    /// If the system has no threads or no memory left.
    pub(crate) fn start(name: &str, first: fn()) -> io::Result<Executor> {
        let (messages, received) = channel();
        let (started, is_started) = sync_channel(1);
        let remote = Remote { messages, is_over: Arc::default() };
        let own = remote.clone();
        let run = move || {
            // The thread's stack may have taken the last memory that there was.
            let is_possible = process::can_start();
            if is_possible {
                first();
            }
            let _ = started.send(is_possible);
            if is_possible {
                own.run(&received);
            }
        };
        let thread = own_thread::spawn(name, || alloc_profiler::unsampled(run))?;
        match is_started.recv() {
            Ok(true) => Ok(Executor { remote, thread: Some(thread) }),
            Ok(false) => Err(process::no_memory()),
            Err(_) => Err(io::Error::other("the thread has ended")),
        }
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Ends the thread, without waiting for it.
    pub(crate) fn stop(mut self) -> Option<JoinHandle<()>> {
        self.thread.take()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.remote.is_over.store(true, Relaxed);
        let _ = self.remote.messages.send(Message::End);
    }
}

impl Remote {
    /// Has the thread do `work`. Who awaits the job gets what the work gives, or the payload of its panic, or an error if the
    /// thread has ended before.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Job<T> {
        static JOBS: AtomicU64 = AtomicU64::new(0);
        let id = JOBS.fetch_add(1, Relaxed);
        let (sender, result) = oneshot::channel();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let canceller = Canceller { messages: self.messages.clone(), is_cancelled: is_cancelled.clone() };
        let work = async move {
            // The message that cancels it comes after those that were there before, and this work may be among these. A crowd of
            // clients that leave at once would have all its work done, and others would wait for that.
            // mutant: D19 work that nobody waits for any more is begun
            if !is_cancelled.load(Relaxed) {
                drop(sender.send(catching(work).await));
            }
        };
        // If the thread has ended, the work is dropped, and the sender with it.
        let _ = self.messages.send(Message::Begin(id, Box::pin(work)));
        Job { id, canceller: Some(canceller), result }
    }

    fn run(&self, messages: &Receiver<Message>) {
        let mut works: HashMap<u64, Work> = HashMap::new();
        while let Some(message) = next(messages) {
            if self.is_over.load(Relaxed) {
                return;
            }
            let id = match message {
                Message::Begin(id, work) => {
                    works.insert(id, work);
                    id
                }
                Message::GoOn(id) => id,
                Message::Cancel(id) => {
                    works.remove(&id);
                    continue;
                }
                Message::End => return,
            };
            let Some(work) = works.get_mut(&id) else { continue };
            let waker = Waker::from(Arc::new(GoOn { id, messages: self.messages.clone() }));
            if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                works.remove(&id);
            }
        }
    }
}

/// Waits for the next message, and meanwhile wakes what has waited for its time.
fn next(messages: &Receiver<Message>) -> Option<Message> {
    loop {
        let first = TIMERS.with_borrow_mut(|timers| {
            let now = Instant::now();
            while let Some(timer) = timers.first_entry() {
                let (at, _) = *timer.key();
                if at > now {
                    return Some(at - now);
                }
                timer.remove().wake();
            }
            None
        });
        match first {
            None => return messages.recv().ok(),
            Some(wait) => match messages.recv_timeout(wait) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        }
    }
}

/// Awaits `work`, and makes a panic of it a value.
async fn catching<T>(work: impl Future<Output = T>) -> thread::Result<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Work under way. When this is dropped, the work is dropped too, on its own thread, at its next `await`.
#[derive(Debug)]
pub(crate) struct Job<T> {
    id: u64,
    /// What cancels the work; if it is `None`, the work goes on when this is dropped.
    canceller: Option<Canceller>,
    result: oneshot::Receiver<thread::Result<T>>,
}

impl<T> Job<T> {
    /// Lets the work go on, though nobody awaits it.
    pub(crate) fn detach(mut self) {
        self.canceller = None;
    }
}

impl<T> Future for Job<T> {
    type Output = Result<thread::Result<T>, oneshot::error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx)
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(canceller) = &self.canceller {
            canceller.is_cancelled.store(true, Relaxed);
            let _ = canceller.messages.send(Message::Cancel(self.id));
        }
    }
}

/// Ends work that has not begun, and work that waits.
#[derive(Debug)]
struct Canceller {
    messages: Sender<Message>,
    is_cancelled: Arc<AtomicBool>,
}

/// Wakes one work.
struct GoOn {
    id: u64,
    messages: Sender<Message>,
}

impl Wake for GoOn {
    fn wake(self: Arc<Self>) {
        let _ = self.messages.send(Message::GoOn(self.id));
    }
}

thread_local! {
    /// What waits for a moment on this thread. Each has a number, since moments may be the same.
    static TIMERS: RefCell<BTreeMap<(Instant, u64), Waker>> = const { RefCell::new(BTreeMap::new()) };
}

/// Waits for a time, in work that an [`Executor`] does, and nowhere else.
pub(crate) fn sleep(time: Duration) -> Sleep {
    sleep_until(Instant::now() + time)
}

/// Waits for a moment, in work that an [`Executor`] does, and nowhere else.
pub(crate) fn sleep_until(at: Instant) -> Sleep {
    static SLEEPS: AtomicU64 = AtomicU64::new(0);
    Sleep { key: (at, SLEEPS.fetch_add(1, Relaxed)) }
}

#[derive(Debug)]
pub(crate) struct Sleep {
    key: (Instant, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.key.0 {
            return Poll::Ready(());
        }
        TIMERS.with_borrow_mut(|timers| timers.insert(self.key, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // The thread may be ending, and have no timers any more.
        let _ = TIMERS.try_with(|timers| timers.try_borrow_mut().map(|mut timers| timers.remove(&self.key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(job: Job<T>) -> Result<thread::Result<T>, oneshot::error::RecvError> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(job)
    }

    #[test]
    fn works_wait_beside_each_other() {
        let executor = Executor::start("lane", || ()).unwrap();
        let started = Instant::now();
        let jobs = [300_u64, 100, 200].map(|millis| {
            executor.remote().spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                (Instant::now(), thread::current().name().map(str::to_owned))
            })
        });
        let ended = jobs.map(|job| wait(job).unwrap().unwrap());
        for ((at, name), millis) in ended.iter().zip([300, 100, 200]) {
            assert!(*at - started >= Duration::from_millis(millis));
            assert_eq!(name.as_deref(), Some("lane"));
        }
        assert!(ended[1].0 < ended[2].0 && ended[2].0 < ended[0].0, "in the order of their times");
        executor.stop().unwrap().join().unwrap();
    }

    #[test]
    fn a_panic_is_told_and_the_next_work_is_done() {
        let executor = Executor::start("lane", || ()).unwrap();
        let panicked = wait(executor.remote().spawn(async { std::panic::resume_unwind(Box::new(7)) }));
        assert_eq!(panicked.unwrap().map(|(): ()| ()).unwrap_err().downcast_ref(), Some(&7));
        assert_eq!(wait(executor.remote().spawn(async { 1 })).unwrap().unwrap(), 1);
    }

    /// What a work holds is dropped on its thread: at once where it waits, and also where the thread ends.
    #[test]
    fn what_nobody_waits_for_is_dropped() {
        struct Held(std::sync::mpsc::Sender<Option<String>>);
        impl Drop for Held {
            fn drop(&mut self) {
                let _ = self.0.send(thread::current().name().map(str::to_owned));
            }
        }
        let executor = Executor::start("lane", || ()).unwrap();
        let (sender, dropped) = channel();
        let hold = || {
            let held = Held(sender.clone());
            executor.remote().spawn(async move {
                sleep(Duration::from_secs(3600)).await;
                drop(held);
            })
        };
        drop(hold());
        let limit = Duration::from_secs(30);
        assert_eq!(dropped.recv_timeout(limit).unwrap().as_deref(), Some("lane"));
        let job = hold();
        hold().detach();
        assert!(dropped.recv_timeout(Duration::from_millis(50)).is_err());
        let (remote, thread) = (executor.remote().clone(), executor.stop().unwrap());
        assert_eq!(dropped.recv_timeout(limit).unwrap().as_deref(), Some("lane"));
        assert_eq!(dropped.recv_timeout(limit).unwrap().as_deref(), Some("lane"));
        assert!(wait(job).is_err());
        thread.join().unwrap();
        assert!(wait(remote.spawn(async {})).is_err());
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_begun() {
        let executor = Executor::start("lane", || ()).unwrap();
        let (go_on, is_held) = channel::<()>();
        let (sender, begun) = channel();
        let first = executor.remote().spawn(async move { _ = is_held.recv() });
        for number in 0..3 {
            let sender = sender.clone();
            let job = executor.remote().spawn(async move { sender.send(number).unwrap() });
            match number {
                1 => job.detach(),
                _ => drop(job),
            }
        }
        go_on.send(()).unwrap();
        wait(first).unwrap().unwrap();
        wait(executor.remote().spawn(async {})).unwrap().unwrap();
        drop(sender);
        assert_eq!(begun.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn timers_of_what_is_over_go() {
        let executor = Executor::start("lane", || ()).unwrap();
        let count = || wait(executor.remote().spawn(async { TIMERS.with_borrow(BTreeMap::len) })).unwrap();
        let job = executor.remote().spawn(sleep(Duration::from_secs(3600)));
        assert_eq!(count().unwrap(), 1);
        drop(job);
        assert_eq!(count().unwrap(), 0);
    }
}
