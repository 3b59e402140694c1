//! What each reader of `delta_heap` has had already, so that the next call tells what was allocated since.
//!
//! Path: *read path*.

use std::time::Duration;

use alloc_profiler::Snapshot;

use super::clients::Clients;
use crate::allocated::Allocated;

impl Clients<Allocated> {
    /// `now`, with `alloc_*` counted since `client` last called, and `inuse_*` as it is. At the first call of `client`
    /// it is counted since the start of the process, `age` ago. With `is_peek` the call does not count.
    pub(crate) fn since_last_call(
        &mut self,
        client: &str,
        mut now: Snapshot,
        age: Duration,
        is_peek: bool,
    ) -> Snapshot {
        self.call(client, is_peek, |had, hasher| {
            let allocated = Allocated::leave_new(&mut now, had, hasher, age);
            (now, allocated)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, StackTotals, StackTrace, Totals};
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime};

    const AGE: Duration = Duration::from_secs(60);
    /// By the clock that nobody sets, second 0.
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// Returns a stack with two size classes, and overflow, at `seconds`.
    fn snapshot(seconds: u64, alloc_bytes: [f64; 3]) -> Snapshot {
        let size = |size_class, alloc_bytes: f64| {
            literal!(SizeTotals {
                size_class,
                totals: literal!(Totals {
                    alloc_objects: alloc_bytes / 8.0,
                    alloc_bytes,
                    inuse_bytes: 5.0,
                    ..Totals::default()
                }),
                ..SizeTotals::default()
            })
        };
        let trace = StackTrace::of_return_addresses([1, 2]);
        literal!(Snapshot {
            // Set back by a second for each that passes.
            taken_at: SystemTime::UNIX_EPOCH - Duration::from_secs(seconds),
            taken_at_monotonic: *START + Duration::from_secs(seconds),
            stacks: vec![literal!(StackTotals {
                trace,
                by_size: vec![size(8, alloc_bytes[0]), size(16, alloc_bytes[1])],
                ..StackTotals::default()
            })],
            overflow: vec![size(8, alloc_bytes[2])],
            ..alloc_profiler::snapshot()
        })
    }

    fn values(delta: &Snapshot) -> [f64; 3] {
        let sizes = &delta.stacks[0].by_size;
        assert_eq!(sizes[0].totals.alloc_objects * 8.0, sizes[0].totals.alloc_bytes);
        assert!(sizes.iter().chain(&delta.overflow).all(|size| size.totals.inuse_bytes == 5.0));
        [sizes[0].totals.alloc_bytes, sizes[1].totals.alloc_bytes, delta.overflow[0].totals.alloc_bytes]
    }

    #[test]
    fn each_client_gets_what_it_has_not_had() {
        let mut clients = Clients::<Allocated>::default();
        let first = clients.since_last_call("a", snapshot(100, [1.0, 2.0, 3.0]), AGE, false);
        assert_eq!((values(&first), first.duration), ([1.0, 2.0, 3.0], Some(AGE)));
        let second = clients.since_last_call("a", snapshot(110, [1.0, 7.0, 4.0]), AGE, false);
        assert_eq!((values(&second), second.duration), ([0.0, 5.0, 1.0], Some(Duration::from_secs(10))));
        let other = clients.since_last_call("b", snapshot(110, [1.0, 7.0, 4.0]), AGE, false);
        assert_eq!(values(&other), [1.0, 7.0, 4.0]);
        // A snapshot that was taken before, by another thread.
        let third = clients.since_last_call("a", snapshot(1, [2.0, 7.0, 4.0]), AGE, false);
        assert_eq!((values(&third), third.duration), ([1.0, 0.0, 0.0], Some(Duration::ZERO)));
    }

    #[test]
    fn a_peek_takes_nothing() {
        let mut clients = Clients::<Allocated>::default();
        for is_peek in [true, true, false] {
            let first = clients.since_last_call("a", snapshot(100, [1.0, 2.0, 3.0]), AGE, is_peek);
            assert_eq!(values(&first), [1.0, 2.0, 3.0]);
        }
        for is_peek in [true, false] {
            let second = clients.since_last_call("a", snapshot(110, [1.0, 4.0, 3.0]), AGE, is_peek);
            assert_eq!(values(&second), [0.0, 2.0, 0.0]);
        }
    }
}
