//! Each connection needs a slot. This decides who holds one, and who must give it up when all are taken.
//!
//! `connections` and `stream` call this. A client who is slow costs a slot, and two hundred of them would take all,
//! long before their deadlines. So when all are taken, whoever has shown least sign of getting on is cut: those who
//! have not yet sent a request before those who have not yet taken their answer. Who waits for a delta, or for a
//! profile to be encoded, waits for us and keeps the slot.
//!
//! Path: *read path*. All of it runs on the server's thread, so nobody waits for the locks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Limits how many connections there are at once.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// The most bytes of answers that clients have yet to take, all together, beside one answer of any size. A profile that every
/// scraper accepts has as many.
const MAX_UNTAKEN_BYTES: usize = 4 << 20;
/// The most bytes of requests that are on their way or not yet answered, all together, beside one of any size.
const MAX_SENT_BYTES: usize = 2 << 20;
/// The time that anyone may take before being counted as slow.
const GRACE: Duration = Duration::from_millis(100);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// We wait for the client's request. This is counted from the start, however often a byte comes.
    Asking {
        /// The length of its body, as announced; it stays with us until it is answered.
        bytes: usize,
    },
    /// We wait for the client to take the answer. This is counted from when it last took some.
    Taking {
        /// Tells the length of the answer.
        bytes: usize,
    },
    /// The client waits for us.
    Waiting,
}

/// Keeps the slot of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    state: Arc<Mutex<(Phase, Instant)>>,
    /// Tells those who make room that it holds more now.
    holds_more: Arc<Notify>,
}

/// Keeps all slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: Vec<(Slot, AbortHandle)>,
    holds_more: Arc<Notify>,
}

impl Slot {
    /// The head is here, and a body of this many bytes is to come.
    pub(crate) fn sends(&self, bytes: usize) {
        if let (Phase::Asking { bytes: announced }, _) = &mut *self.state() {
            *announced = bytes;
        }
        self.holds_more.notify_one();
    }

    /// The request is here, and has no body.
    pub(crate) fn waits(&self) {
        *self.state() = (Phase::Waiting, Instant::now());
    }

    /// The answer of this many bytes is there to be taken.
    pub(crate) fn takes(&self, bytes: usize) {
        *self.state() = (Phase::Taking { bytes }, Instant::now());
        self.holds_more.notify_one();
    }

    /// Some of the answer was taken.
    pub(crate) fn gets_on(&self) {
        let mut state = self.state();
        if let (Phase::Taking { .. }, since) = &mut *state {
            *since = Instant::now();
        }
    }

    /// Nothing under the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// A slot for a connection, which is yet to [take](Slots::take) it.
    pub(crate) fn slot(&self) -> Slot {
        let state = Arc::new(Mutex::new((Phase::Asking { bytes: 0 }, Instant::now())));
        Slot { state, holds_more: Arc::clone(&self.holds_more) }
    }

    /// A connection has come.
    pub(crate) fn take(&mut self, slot: Slot, connection: AbortHandle) {
        self.taken.push((slot, connection));
    }

    /// Waits until a body comes or an answer is there to be taken, after which there may be no room.
    pub(crate) async fn hold_more(&self) {
        self.holds_more.notified().await;
    }

    /// Whether some client has sent a request that is not answered yet.
    pub(crate) fn is_anyone_waiting(&self) -> bool {
        let waits = |(slot, connection): &(Slot, AbortHandle)| {
            !connection.is_finished() && slot.state().0 == Phase::Waiting
        };
        self.taken.iter().any(waits)
    }

    /// Cuts one connection if there are too many, or if their requests or answers are too large together. Returns when
    /// to ask again if someone had to be cut and nobody was slow enough yet.
    pub(crate) fn make_room(&mut self) -> Option<Instant> {
        self.taken.retain(|(_, connection)| !connection.is_finished());
        let states: Vec<_> = self.taken.iter().map(|(slot, _)| *slot.state()).collect();
        let is_full = states.len() >= MAX_CONNECTIONS;
        let sent = states.iter().filter_map(|(phase, _)| match phase {
            Phase::Asking { bytes } => Some(*bytes),
            _ => None,
        });
        let untaken = states.iter().filter_map(|(phase, _)| match phase {
            Phase::Taking { bytes } => Some(*bytes),
            _ => None,
        });
        let (is_flooded, is_heavy) =
            (beside_the_largest(sent) > MAX_SENT_BYTES, beside_the_largest(untaken) > MAX_UNTAKEN_BYTES);
        let is_over = is_flooded || is_heavy;
        let rank = |(phase, since): &(Phase, Instant)| match phase {
            Phase::Taking { .. } if is_heavy => Some((0, *since)),
            Phase::Asking { bytes: 1.. } if is_flooded => Some((0, *since)),
            Phase::Asking { .. } if is_full && !is_over => Some((0, *since)),
            Phase::Taking { .. } if is_full && !is_over => Some((1, *since)),
            _ => None,
        };
        let ranked = states.iter().enumerate().filter_map(|(index, state)| Some((rank(state)?, index)));
        let ((_, since), index) = ranked.min()?;
        // Requests and answers come faster than anyone could be called slow, so their bytes are bounded at once.
        if !is_over && since.elapsed() < GRACE {
            return Some(since + GRACE);
        }
        self.taken.swap_remove(index).1.abort();
        None
    }
}

fn beside_the_largest(bytes: impl Iterator<Item = usize> + Clone) -> usize {
    // An announced length may be any.
    let sum = bytes.clone().fold(0, usize::saturating_add);
    sum - bytes.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::task::JoinSet;

    /// Runs with slots whose connections never end by themselves; gives back how many were cut.
    fn cut(slots: impl FnOnce() -> Vec<Slot>, calls: usize) -> Vec<usize> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut connections = JoinSet::new();
            let mut all = Slots::default();
            let handles: Vec<_> = slots()
                .into_iter()
                .map(|slot| {
                    let handle = connections.spawn(pending::<()>());
                    all.take(slot, handle.clone());
                    handle
                })
                .collect();
            tokio::time::sleep(GRACE + Duration::from_millis(10)).await;
            for _ in 0..calls {
                let _ = all.make_room();
            }
            tokio::task::yield_now().await;
            (0..handles.len()).filter(|index| handles[*index].is_finished()).collect()
        })
    }

    fn asking() -> Slot {
        Slots::default().slot()
    }

    fn waiting() -> Slot {
        let slot = asking();
        slot.waits();
        slot
    }

    fn sending(bytes: usize) -> Slot {
        let slot = asking();
        slot.sends(bytes);
        slot
    }

    fn taking(bytes: usize) -> Slot {
        let slot = asking();
        slot.takes(bytes);
        slot
    }

    #[test]
    fn those_who_ask_go_before_those_who_take_and_none_who_waits() {
        let full = || {
            let mut slots: Vec<_> = (0..MAX_CONNECTIONS - 3).map(|_| waiting()).collect();
            slots.extend([taking(1), asking(), asking()]);
            slots
        };
        assert_eq!(cut(full, 1), [MAX_CONNECTIONS - 2]);
        // Then there is room.
        assert_eq!(cut(full, 9), [MAX_CONNECTIONS - 2]);
        let mut crowded = full();
        crowded.extend(full());
        let expected: Vec<usize> = [2, 1, 3]
            .into_iter()
            .flat_map(|back| [MAX_CONNECTIONS - back, 2 * MAX_CONNECTIONS - back])
            .collect();
        let mut cut = cut(|| crowded, 200);
        cut.sort_by_key(|index| expected.iter().position(|slot| slot == index));
        assert_eq!(cut, expected);
        assert_eq!(super::tests::cut(|| (0..2 * MAX_CONNECTIONS).map(|_| waiting()).collect(), 9), [0; 0]);
    }

    #[test]
    fn answers_are_bounded_together_and_one_may_be_larger() {
        let half = MAX_UNTAKEN_BYTES / 2;
        assert_eq!(cut(|| vec![taking(half), taking(half)], 9), [0; 0]);
        assert_eq!(cut(|| vec![asking(), taking(half), taking(half), taking(half)], 9), [0; 0]);
        assert_eq!(cut(|| vec![asking(), taking(half), taking(half), taking(half), taking(1)], 9), [1]);
        assert_eq!(cut(|| vec![taking(2 * MAX_UNTAKEN_BYTES), waiting()], 9), [0; 0]);
    }

    #[test]
    fn requests_are_bounded_together_and_one_may_be_larger() {
        let half = MAX_SENT_BYTES / 2;
        assert_eq!(cut(|| vec![sending(half), sending(half), sending(half)], 9), [0; 0]);
        // Those that take their answers are not cut for those that ask.
        let flood = || vec![asking(), taking(1), sending(half), sending(half), sending(half), sending(1)];
        assert_eq!(cut(flood, 9), [2]);
        assert_eq!(cut(|| vec![sending(usize::MAX), waiting(), sending(half)], 9), [0; 0]);
    }

    #[test]
    fn answers_are_bounded_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut connections = JoinSet::new();
            let mut slots = Slots::default();
            for _ in 0..4 {
                slots.take(taking(MAX_UNTAKEN_BYTES), connections.spawn(pending::<()>()));
            }
            assert_eq!((slots.make_room(), slots.make_room(), slots.make_room()), (None, None, None));
            assert_eq!(slots.taken.len(), 2);
        });
    }

    #[test]
    fn nobody_is_cut_at_once_for_a_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut connections = JoinSet::new();
            let mut slots = Slots::default();
            for _ in 0..MAX_CONNECTIONS {
                slots.take(asking(), connections.spawn(pending::<()>()));
            }
            let later = slots.make_room().expect("all are new");
            assert!(later <= Instant::now() + GRACE);
            assert_eq!(slots.taken.len(), MAX_CONNECTIONS);
        });
    }
}
