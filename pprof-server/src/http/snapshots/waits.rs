//! What each reader of `delta_block` and `delta_mutex` has had already, so that the next call tells what was waited since.
//!
//! Of what was measured only the sums are kept, some 60 bytes for each stack.
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::mem;
use std::time::{Duration, Instant};

use capture::{LockSamples, LockStack, LockSums};

use super::clients::Clients;
use crate::sources::locks::task_waits::FoundTaskWaits;
use crate::sources::locks::{Counted, Measured};

/// What one reader has had.
#[derive(Debug)]
pub(crate) struct HadWaits {
    at: Instant,
    /// The sums of each stack, by a hash of what sets it apart.
    stacks: HashMap<u64, LockSums>,
    overflow: LockSums,
}

impl Clients<HadWaits> {
    /// Returns what of `now` came since `client` last called. At its first call that is all since the start of the process, `age`
    /// ago. With `is_peek` the call does not count.
    pub(crate) fn since_last_call(
        &mut self,
        counted: Counted,
        client: &str,
        mut now: LockSamples,
        age: Duration,
        is_peek: bool,
    ) -> Measured {
        self.call(client, is_peek, |had, hasher| {
            let at = Instant::now();
            let (stacks, overflow) = counted.parts(&mut now);
            // Two threads may have begun the same stack at the same moment. Then it is there twice.
            let mut by_site = HashMap::<u64, LockStack>::new();
            for stack in mem::take(stacks) {
                let key = (&stack.frames, stack.is_truncated, stack.label, stack.word);
                match by_site.entry(hasher.hash_one(key)) {
                    Entry::Occupied(mut same) => same.get_mut().sums = same.get().sums.plus(&stack.sums),
                    Entry::Vacant(place) => _ = place.insert(stack),
                }
            }
            let sums = by_site.iter().map(|(site, stack)| (*site, stack.sums));
            let has = HadWaits { at, stacks: sums.collect(), overflow: *overflow };
            if let Some(had) = had {
                for (site, stack) in &mut by_site {
                    let before = had.stacks.get(site).copied().unwrap_or_default();
                    stack.sums = stack.sums.since(&before);
                }
                *overflow = overflow.since(&had.overflow);
            }
            *stacks = by_site.into_values().collect();
            let time = had.map_or(age, |had| at.saturating_duration_since(had.at));
            (
                Measured {
                    now,
                    before: Some((LockSamples::default(), time)),
                    tasks: FoundTaskWaits::default(),
                },
                has,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::CodeAddress;
    use capture::LockWord;

    const AGE: Duration = Duration::from_secs(60);

    fn sums(nanoseconds: f64) -> LockSums {
        let mut sums = LockSums::default();
        (sums.samples, sums.contentions, sums.nanoseconds) = (nanoseconds as u64, nanoseconds, nanoseconds);
        sums
    }

    /// Waits of so many nanoseconds on each stack, and on none.
    fn samples(waited: &[(usize, f64)], overflow: f64) -> LockSamples {
        let stack = |&(address, nanoseconds): &(usize, f64)| {
            LockStack::new([CodeAddress::returning_to(address)].into(), LockWord::Mutex, sums(nanoseconds))
        };
        let mut samples = LockSamples::default();
        samples.block = waited.iter().map(stack).collect();
        samples.block_overflow = sums(overflow);
        samples
    }

    /// What was waited on each stack since the last call, and on none.
    fn call(clients: &mut Clients<HadWaits>, client: &str, now: LockSamples) -> (Vec<(usize, f64)>, f64) {
        let measured = clients.since_last_call(Counted::Block, client, now, AGE, false);
        let sums = measured.now.block.iter().filter(|stack| stack.sums.samples > 0);
        let mut waited: Vec<_> =
            sums.map(|stack| (stack.frames[0].address(), stack.sums.nanoseconds)).collect();
        waited.sort_by_key(|(address, _)| *address);
        (waited, measured.now.block_overflow.nanoseconds)
    }

    #[test]
    fn each_client_gets_what_it_has_not_had() {
        let mut clients = Clients::<HadWaits>::default();
        // The same stack may be in the table twice.
        let first = samples(&[(1, 5.0), (2, 7.0), (1, 2.0)], 3.0);
        assert_eq!(call(&mut clients, "a", first.clone()), (vec![(1, 7.0), (2, 7.0)], 3.0));
        assert_eq!(call(&mut clients, "a", first.clone()), (vec![], 0.0));
        let second = samples(&[(1, 9.0), (2, 7.0), (1, 2.0), (3, 1.0)], 4.0);
        assert_eq!(call(&mut clients, "a", second), (vec![(1, 4.0), (3, 1.0)], 1.0));
        assert_eq!(call(&mut clients, "b", first), (vec![(1, 7.0), (2, 7.0)], 3.0));
    }

    #[test]
    fn a_first_call_is_as_old_as_the_process() {
        let mut clients = Clients::<HadWaits>::default();
        let mut time = |is_peek| {
            let now = samples(&[], 0.0);
            clients.since_last_call(Counted::Mutex, "a", now, AGE, is_peek).before.unwrap().1
        };
        assert_eq!([time(true), time(false)], [AGE, AGE]);
        assert!(time(false) < AGE);
    }
}
