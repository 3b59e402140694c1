//! This remembers what each reader of `delta_heap` has had already, so that the next call tells what came since.
//!
//! Readers are told apart by the name they give, so that two of them do not take each other's
//! deltas. Of a snapshot only the sums are kept, 48 bytes for each stack and size class, and only for the last few
//! readers.
//!
//! Path: *read path*.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use alloc_profiler::internal::literal;
use alloc_profiler::{SizeTotals, Snapshot, StackTrace, Totals};

/// The number of readers that are remembered. If there is one more, the reader that has not called for longest is forgotten: its
/// next call counts as its first.
const MAX_CLIENTS: usize = 8;

/// The readers, of whom the latest to call is last.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: Vec<(String, Had)>,
    hasher: RandomState,
}

/// What one reader has had.
#[derive(Debug)]
struct Had {
    at: Instant,
    /// The sums that were allocated, by ascending site.
    allocated: Box<[Allocated]>,
}

/// Sums up one site: a stack and a size class, or for what overflowed a size class alone.
#[derive(Clone, Copy, Debug)]
struct Allocated {
    /// Identifies the site by a hash of 64 bits. With 100 000 sites, two of them are the same in one of four thousand
    /// million cases.
    site: u64,
    objects: f64,
    bytes: f64,
    samples: i64,
    objects_variance: f64,
    bytes_variance: f64,
}

impl Allocated {
    fn totals(&self) -> Totals {
        literal!(Totals {
            alloc_objects: self.objects,
            alloc_bytes: self.bytes,
            alloc_samples: self.samples,
            alloc_objects_variance: self.objects_variance,
            alloc_bytes_variance: self.bytes_variance,
            ..Totals::default()
        })
    }
}

impl Clients {
    /// `now`, with `alloc_*` counted since `client` last called, and `inuse_*` as it is. At the first call of `client`
    /// it is counted since the start of the process, `age` ago. With `is_peek` the call does not count.
    pub(crate) fn since_last_call(
        &mut self,
        client: &str,
        mut now: Snapshot,
        age: Duration,
        is_peek: bool,
    ) -> Snapshot {
        let had =
            self.known.iter().position(|(name, _)| name == client).map(|index| self.known.remove(index));
        let before = had.as_ref().map_or(&[][..], |(_, had)| &had.allocated);
        let mut allocated = Vec::new();
        let mut since = |trace: Option<&StackTrace>, sizes: &mut Vec<SizeTotals>| {
            for size in sizes {
                let mine = Allocated {
                    site: self.hasher.hash_one((trace, size.size_class, size.label)),
                    objects: size.totals.alloc_objects,
                    bytes: size.totals.alloc_bytes,
                    samples: size.totals.alloc_samples,
                    objects_variance: size.totals.alloc_objects_variance,
                    bytes_variance: size.totals.alloc_bytes_variance,
                };
                if let Ok(index) = before.binary_search_by_key(&mine.site, |before| before.site) {
                    size.totals = size.totals.without(before[index].totals());
                }
                allocated.push(mine);
            }
        };
        for stack in &mut now.stacks {
            since(Some(&stack.trace), &mut stack.by_size);
        }
        since(None, &mut now.overflow);
        let at = had.as_ref().map(|(_, had)| had.at);
        now.duration = Some(at.map_or(age, |at| now.taken_at_monotonic.saturating_duration_since(at)));
        if is_peek {
            self.known.extend(had);
            return now;
        }
        allocated.sort_unstable_by_key(|allocated| allocated.site);
        if self.known.len() == MAX_CLIENTS {
            self.known.remove(0);
        }
        self.known.push((client.to_owned(), Had { at: now.taken_at_monotonic, allocated: allocated.into() }));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::StackTotals;
    use std::sync::LazyLock;
    use std::time::SystemTime;

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
        let mut clients = Clients::default();
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
        let mut clients = Clients::default();
        for is_peek in [true, true, false] {
            let first = clients.since_last_call("a", snapshot(100, [1.0, 2.0, 3.0]), AGE, is_peek);
            assert_eq!(values(&first), [1.0, 2.0, 3.0]);
        }
        for is_peek in [true, false] {
            let second = clients.since_last_call("a", snapshot(110, [1.0, 4.0, 3.0]), AGE, is_peek);
            assert_eq!(values(&second), [0.0, 2.0, 0.0]);
        }
    }

    #[test]
    fn the_one_that_has_not_called_for_longest_is_forgotten() {
        let mut clients = Clients::default();
        let mut call =
            |client: &str| values(&clients.since_last_call(client, snapshot(1, [1.0; 3]), AGE, false))[0];
        for number in 0..MAX_CLIENTS {
            assert_eq!(call(&number.to_string()), 1.0);
        }
        assert_eq!(call("0"), 0.0);
        assert_eq!(call("new"), 1.0);
        assert_eq!(call("0"), 0.0);
        assert_eq!(call("1"), 1.0, "forgotten for the new one");
        assert_eq!(clients.known.len(), MAX_CLIENTS);
    }
}
