//! This bounds who waits for a delta: one of a kind for each client, and a number in all.
//!
//! `handler` calls this. Each waiter holds a snapshot. `go tool pprof` and scrapers ask for heap and allocs side
//! by side, from one address, so a client may wait for both, but not twice for one of them.
//!
//! Path: *read path*. Pure, but for a lock.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;

use crate::http::refusal::Refusal;

/// The number of deltas that may wait at once.
pub(crate) const MAX_WAITING_DELTAS: usize = 8;

/// Who sent a request: put it into the extensions of a request before it goes to a [`Handler`](crate::Handler),
/// and each client may wait for one `seconds=N` of a kind at a time.
///
/// Without it the handler cannot tell clients apart, and only the number of all that wait is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(Option<IpAddr>);

impl Peer {
    /// The other end of a Unix socket: one client, whoever it is.
    pub const UNIX: Peer = Peer(None);
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        Peer(Some(address.to_canonical()))
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::from(address.ip())
    }
}

/// Lists the waiters of one handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiters(Arc<Mutex<Vec<Waiter>>>);

/// The client, and the name of the profile that it waits for.
type Waiter = (Option<Peer>, &'static str);

/// Takes a slot among the waiters. When this is dropped, the slot is free again.
#[derive(Debug)]
pub(crate) struct Waiting {
    waiters: Waiters,
    waiter: Waiter,
}

impl Waiters {
    /// Gives `peer` a slot to wait for the profile of this name, or refuses with 429.
    pub(crate) fn admit(&self, peer: Option<Peer>, profile: &'static str) -> Result<Waiting, Refusal> {
        let refuse = |text| Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).with_retry_after("10"));
        let waiter = (peer, profile);
        self.with(|waiting| {
            if peer.is_some() && waiting.contains(&waiter) {
                return refuse("you are waiting for this profile with seconds already; try again later");
            }
            if waiting.len() >= MAX_WAITING_DELTAS {
                return refuse("too many profiles with seconds are being taken; try again later");
            }
            waiting.push(waiter);
            Ok(Waiting { waiters: self.clone(), waiter })
        })
    }

    /// Nothing under the lock can panic half-way.
    fn with<T>(&self, change: impl FnOnce(&mut Vec<Waiter>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.with(|waiting| {
            if let Some(index) = waiting.iter().position(|waiter| *waiter == self.waiter) {
                waiting.swap_remove(index);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_once_for_each_kind_and_all_are_bounded() {
        let waiters = Waiters::default();
        let peer = |last| Some(Peer::from(IpAddr::from([127, 0, 0, last])));
        let heap = waiters.admit(peer(1), "heap").unwrap();
        let _allocs = waiters.admit(peer(1), "allocs").unwrap();
        let refusal = waiters.admit(peer(1), "heap").unwrap_err();
        assert_eq!((refusal.status, refusal.retry_after), (StatusCode::TOO_MANY_REQUESTS, Some("10")));
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert!(waiters.admit(Some(mapped.into()), "heap").is_err(), "the same machine");
        assert!(waiters.admit(Some(Peer::UNIX), "heap").is_ok());
        drop(heap);
        drop(waiters.admit(peer(1), "heap").unwrap());

        let _others: Vec<_> = (2..9).map(|last| waiters.admit(peer(last), "heap").unwrap()).collect();
        assert!(waiters.admit(peer(9), "heap").is_err(), "eight wait");
    }

    #[test]
    fn unknown_clients_are_only_counted() {
        let waiters = Waiters::default();
        let _waiting: Vec<_> =
            (0..MAX_WAITING_DELTAS).map(|_| waiters.admit(None, "heap").unwrap()).collect();
        assert!(waiters.admit(None, "heap").is_err());
    }
}
