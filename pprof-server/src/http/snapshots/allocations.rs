//! What each reader of `delta_heap` has had already, so that the next call tells what was allocated since.
//!
//! Of a snapshot only the sums are kept, 48 bytes for each stack and size class.
//!
//! Path: *read path*.

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use alloc_profiler::internal::literal;
use alloc_profiler::{SizeTotals, Snapshot, StackTrace, Totals};

use super::clients::Clients;

/// What one reader has had.
#[derive(Debug)]
pub(crate) struct HadAllocations {
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

impl Clients<HadAllocations> {
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
            let before = had.map_or(&[][..], |had| &had.allocated);
            let mut allocated = Vec::new();
            let mut since = |trace: Option<&StackTrace>, sizes: &mut Vec<SizeTotals>| {
                for size in sizes {
                    let mine = Allocated {
                        site: hasher.hash_one((trace, size.size_class, size.label)),
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
            let at = now.taken_at_monotonic;
            now.duration = Some(had.map_or(age, |had| at.saturating_duration_since(had.at)));
            allocated.sort_unstable_by_key(|allocated| allocated.site);
            (now, HadAllocations { at, allocated: allocated.into() })
        })
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
        let mut clients = Clients::<HadAllocations>::default();
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
        let mut clients = Clients::<HadAllocations>::default();
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
