//! CPU time is sampled for one who asks at a time. A request comes before the thread that pushes profiles, which gives way.
//!
//! Path: *read path*. Asking costs an atomic load or two.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::per_process::PerProcess;

/// Who wants to sample, or does.
#[derive(Debug, Default)]
struct Turns {
    requests: AtomicUsize,
    is_pushing: AtomicBool,
}

/// A child of `fork` has none of its parent's requests.
static TURNS: PerProcess<Turns> = PerProcess::new();

fn turns() -> &'static Turns {
    TURNS.get(Turns::default)
}

/// A request that wants to sample CPU time, or does.
#[derive(Debug)]
pub(crate) struct OfRequest(&'static Turns);

impl OfRequest {
    pub(crate) fn begin() -> OfRequest {
        let turns = turns();
        turns.requests.fetch_add(1, SeqCst);
        OfRequest(turns)
    }

    /// Whether profiles are pushed that have yet to give way, within [`capture::LOOK_EVERY`].
    pub(crate) fn must_wait(&self) -> bool {
        self.0.is_pushing.load(SeqCst)
    }
}

impl Drop for OfRequest {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, SeqCst);
    }
}

/// The thread that pushes profiles has this while it samples.
#[cfg(feature = "push")]
#[derive(Debug)]
pub(crate) struct OfPush(&'static Turns);

#[cfg(feature = "push")]
impl OfPush {
    /// Begins a turn, unless a request or another such thread has one.
    pub(crate) fn begin() -> Option<OfPush> {
        let turns = turns();
        if turns.is_pushing.swap(true, SeqCst) {
            return None;
        }
        // A request that comes from now on sees that it must wait.
        let turn = OfPush(turns);
        (!turn.must_end()).then_some(turn)
    }

    /// Whether a request waits for this turn's end.
    pub(crate) fn must_end(&self) -> bool {
        self.0.requests.load(SeqCst) > 0
    }
}

#[cfg(feature = "push")]
impl Drop for OfPush {
    fn drop(&mut self) {
        self.0.is_pushing.store(false, SeqCst);
    }
}

#[cfg(all(test, feature = "push"))]
mod tests {
    use super::*;

    /// One test, since a process has one turn.
    #[test]
    fn a_request_comes_first() {
        let push = OfPush::begin().unwrap();
        assert!(OfPush::begin().is_none(), "one at a time");
        assert!(!push.must_end());
        let request = OfRequest::begin();
        assert!(request.must_wait() && push.must_end());
        drop(push);
        assert!(!request.must_wait());
        assert!(OfPush::begin().is_none(), "the request is under way");
        assert!(!request.must_wait());
        drop(request);
        assert!(OfPush::begin().is_some());
    }
}
