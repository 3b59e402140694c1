//! This tells whether the server's descriptors are still its own.
//!
//! `server` and `connections` call this. A descriptor is a number, and a program may close all numbers there are, as
//! daemons do at their start. What it opens next gets our numbers. From then on nothing may be read, written, polled or
//! closed by these numbers any more. So before we do anything of the kind we look at the listening socket, which like
//! every socket has a number of its own that no other file has; the epoll instance and what wakes it cannot be told
//! from others of their sort, and go with it.
//!
//! Two gaps remain: a program that closes some of our numbers and not the listener's is not noticed, and some
//! microseconds lie between the look and the use. Where a crate of the program has asked tokio for its `signal`
//! feature, tokio keeps a pair of sockets for the whole process: when these are closed, no runtime can be made in that
//! process any more. Ours does not look at them, see `signal_socket`.
//!
//! Path: *read path*. It costs a system call whenever the server's thread has slept or another one wakes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

/// The descriptors of one server, which clones share.
#[derive(Clone, Debug)]
pub(crate) struct OwnDescriptors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    #[cfg(unix)]
    listener: Option<alloc_profiler::internal::Descriptor>,
    is_lost: AtomicBool,
    /// The thread that uses the descriptors.
    home: OnceLock<ThreadId>,
    /// What wakes the work that this thread does in the end.
    last: Mutex<Option<Waker>>,
}

impl OwnDescriptors {
    /// Returns the descriptors of a server that listens on `listener`.
    #[cfg(unix)]
    pub(crate) fn with(listener: &impl std::os::fd::AsFd) -> OwnDescriptors {
        let listener = alloc_profiler::internal::Descriptor::of(listener).ok();
        OwnDescriptors(Arc::new(Shared {
            listener,
            is_lost: AtomicBool::new(false),
            home: OnceLock::new(),
            last: Mutex::new(None),
        }))
    }

    /// The descriptors of a server, which are believed to stay its own.
    #[cfg(not(unix))]
    pub(crate) fn with<L>(_: &L) -> OwnDescriptors {
        OwnDescriptors(Arc::new(Shared {
            is_lost: AtomicBool::new(false),
            home: OnceLock::new(),
            last: Mutex::new(None),
        }))
    }

    /// Whether the program has closed them. Once it has, they stay lost.
    pub(crate) fn are_lost(&self) -> bool {
        #[cfg(unix)]
        if self.0.listener.is_some_and(|listener| !listener.is_unchanged()) {
            self.0.is_lost.store(true, Relaxed);
        }
        self.0.is_lost.load(Relaxed)
    }

    /// Looks whether they are lost. The server's thread calls this when it has slept: if they are, nothing is done before
    /// [`until_lost`](Self::until_lost) is asked again.
    pub(crate) fn look(&self) {
        if self.are_lost()
            && let Some(waker) = &*self.last()
        {
            // On its own thread, tokio writes nothing to wake what it runs.
            waker.wake_by_ref();
        }
    }

    /// Awaits `work`, and gives `None` as soon as the descriptors are lost. The caller keeps the work, which holds some of them.
    pub(crate) async fn until_lost<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|cx| {
            self.0.home.get_or_init(|| thread::current().id());
            self.last().get_or_insert_with(|| cx.waker().clone());
            if self.are_lost() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Does `work` on the server's thread. Other threads wake it only by descriptors that are ours, and it never gets on once
    /// they are lost.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        std::future::poll_fn(|cx| {
            if self.are_lost() {
                return Poll::Pending;
            }
            let waker = Waker::from(Arc::new(Guarded { waker: cx.waker().clone(), own: self.clone() }));
            work.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }

    fn is_at_home(&self) -> bool {
        self.0.home.get().is_some_and(|home| *home == thread::current().id())
    }

    /// Lets go of the runtime, which holds on to this.
    pub(crate) fn leave(&self) {
        *self.last() = None;
    }

    /// Nothing under the lock can panic half-way.
    fn last(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the server's thread, as long as the descriptor that does so is ours.
struct Guarded {
    waker: Waker,
    own: OwnDescriptors,
}

impl Wake for Guarded {
    fn wake(self: Arc<Self>) {
        if self.own.is_at_home() || !self.own.are_lost() {
            self.waker.wake_by_ref();
        }
    }
}
