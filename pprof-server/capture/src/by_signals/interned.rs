//! Collects the samples of a capture, and holds each different stack of a thread once.

use std::collections::HashMap;
use std::sync::Arc;

use unwinder::CodeAddress;

use super::ring::Sample;
use crate::Stack;
use crate::threads;

/// Different stacks that are kept. Each takes 100 bytes and 8 for each frame.
const MAX_STACKS: usize = 1 << 15;

/// Counts samples by their stacks.
type ByStack = HashMap<Box<[CodeAddress]>, Count>;

/// Holds the samples of a capture so far.
#[derive(Debug, Default)]
pub(super) struct Interned {
    /// Holds the samples of each thread and label. The frames of a stack come outermost first.
    stacks: HashMap<(u32, u32), ByStack>,
    names: HashMap<u32, Arc<str>>,
    count: usize,
    pub(super) overflow_periods: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// The number of the stack, in the order of first samples.
    index: usize,
    periods: u64,
    signals: u64,
    is_truncated: bool,
}

impl Interned {
    /// Adds a sample. Returns the number of its stack, which is its index among all at the end; `None`: there are too many.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Option<usize> {
        let header = sample.header;
        let of_thread = self.stacks.entry((header.thread_id, header.label)).or_default();
        let count = match of_thread.get_mut(sample.frames) {
            Some(count) => count,
            None if self.count >= MAX_STACKS => {
                self.overflow_periods += header.periods;
                return None;
            }
            None => {
                self.count += 1;
                of_thread
                    .entry(sample.frames.into())
                    .or_insert(Count { index: self.count - 1, ..Count::default() })
            }
        };
        let index = count.index;
        count.periods += header.periods;
        count.signals += 1;
        count.is_truncated = sample.is_truncated;
        let thread_id = header.thread_id;
        if header.thread_name[0] != 0 {
            self.names.insert(thread_id, threads::name_of_bytes(&header.thread_name));
        } else {
            self.names.entry(thread_id).or_insert_with(|| threads::name(thread_id).unwrap_or_default());
        }
        Some(index)
    }

    /// Notes the name of a thread, if it has one.
    pub(super) fn note_name(&mut self, thread_id: u32) {
        if let Some(name) = threads::name(thread_id) {
            self.names.insert(thread_id, name);
        }
    }

    /// Yields the frames of each stack, outermost first, and whether outer ones were left out.
    pub(super) fn frames(&self) -> impl Iterator<Item = (&[CodeAddress], bool)> + Clone {
        let stacks = self.stacks.values().flatten();
        stacks.map(|(frames, count)| (&**frames, count.is_truncated))
    }

    /// Returns all stacks, by their numbers. Threads that live on are asked for their names once more, since many get theirs late.
    pub(super) fn into_stacks(mut self) -> Vec<Stack> {
        for (thread_id, _) in self.stacks.keys().copied().collect::<Vec<_>>() {
            self.note_name(thread_id);
        }
        let unknown: Arc<str> = Arc::from("");
        let mut all: Vec<(usize, Stack)> = Vec::with_capacity(self.count);
        for ((thread_id, label), stacks) in self.stacks {
            let thread = self.names.get(&thread_id).unwrap_or(&unknown);
            all.extend(stacks.into_iter().map(|(mut frames, count)| {
                frames.reverse();
                let Count { index, periods, signals, is_truncated } = count;
                (
                    index,
                    Stack {
                        frames,
                        is_truncated,
                        thread: thread.clone(),
                        thread_id,
                        label,
                        periods,
                        signals,
                    },
                )
            }));
        }
        all.sort_unstable_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, stack)| stack).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_signals::ring::Header;

    fn sample(interned: &mut Interned, thread_id: u32, frames: &[usize], periods: u64) -> Option<usize> {
        let frames: Vec<_> = frames.iter().map(|&frame| CodeAddress::returning_to(frame)).collect();
        let mut header = Header { thread_id, periods, ..Header::default() };
        header.thread_name[..4].copy_from_slice(b"name");
        interned.add(&Sample { header: &header, frames: &frames, is_truncated: false })
    }

    #[test]
    fn a_stack_of_a_thread_is_kept_once_with_its_leaf_first() {
        let mut interned = Interned::default();
        // No threads have these numbers.
        let [one, other] = [u32::MAX, u32::MAX - 1];
        let mut numbers = Vec::new();
        for (thread, frames, periods) in
            [(one, [1, 2], 1), (one, [1, 3], 1), (one, [1, 2], 4), (other, [1, 2], 1)]
        {
            numbers.push(sample(&mut interned, thread, &frames, periods));
        }
        assert_eq!(numbers, [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(interned.frames().count(), 3);
        let mut found: Vec<_> = interned
            .into_stacks()
            .into_iter()
            .map(|stack| {
                assert!([one, other].contains(&stack.thread_id));
                assert_eq!((&*stack.thread, stack.frames[1].address()), ("name", 1));
                (stack.frames[0].address(), stack.periods, stack.signals)
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, [(2, 1, 1), (2, 5, 2), (3, 1, 1)]);
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let mut interned = Interned::default();
        for frame in 0..=MAX_STACKS {
            sample(&mut interned, 1, &[frame], 3);
        }
        assert_eq!(sample(&mut interned, 1, &[0], 5), Some(0));
        assert_eq!((interned.frames().count(), interned.overflow_periods), (MAX_STACKS, 3));
        let sum: u64 = interned.into_stacks().iter().map(|stack| stack.periods).sum();
        assert_eq!(sum, 3 * MAX_STACKS as u64 + 5);
    }
}
