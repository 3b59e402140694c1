//! Which sampled blocks came and which went as time went by.
//!
//! The live samples are listed again and again, and each list is compared with the one before. So a block that came and went between
//! two looks is not seen, and the time at which a block went is that of the look that missed it. In turn the program's own calls
//! to the allocator have nothing to do for that.
//!
//! Path: *read path*.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use alloc_profiler::StackTrace;
use alloc_profiler::internal::{LiveBlock, LiveBlocks, cpu_time, live_blocks};

use super::pace::Pace;
use crate::trace::BlockEvent;

/// Live samples of which a list is made again and again. Where there are more, blocks are not told.
const MAX_LIVE: usize = 200_000;
/// Events that are kept.
const MAX_EVENTS: usize = 200_000;

/// Keeps what is known of the blocks so far.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// What was there at the last look, by fingerprint.
    known: HashMap<u64, Known>,
    numbers: HashMap<StackTrace, usize>,
    pub(super) stacks: Vec<StackTrace>,
    pub(super) events: Vec<BlockEvent>,
    looks: u64,
    next_block: u64,
    last: Duration,
    pub(super) pace: Pace,
    /// There were more live samples than are listed.
    pub(super) are_too_many: bool,
    /// Events there was no room for.
    pub(super) lost: u64,
    /// The longest time between two looks.
    pub(super) longest_gap: Duration,
}

/// A block that was there at the last look.
#[derive(Debug)]
struct Known {
    block: u64,
    bytes: f64,
    stack: Option<usize>,
    /// The number of the last look that saw it.
    look: u64,
}

impl Blocks {
    /// Looks which blocks there are, if that is due.
    pub(super) fn look_if_due(&mut self, now: Duration) {
        if self.pace.is_due(now) {
            self.look(now);
        }
    }

    /// Looks which blocks there are.
    pub(super) fn look(&mut self, now: Duration) {
        if self.are_too_many {
            return;
        }
        let started = cpu_time();
        let listed = Cell::new(0);
        let is_within = |_, _| {
            listed.set(listed.get() + 1);
            listed.get() <= 2 * MAX_LIVE
        };
        let mut live = live_blocks(is_within);
        // They are gone through twice.
        if listed.get() > 2 * MAX_LIVE {
            self.are_too_many = true;
        } else {
            self.add(now, &live);
        }
        live.wipe();
        self.pace.looked(now, cpu_time().saturating_sub(started));
    }

    /// Compares what is there with what there was at the last look.
    fn add(&mut self, now: Duration, live: &LiveBlocks) {
        let is_first = self.looks == 0;
        self.looks += 1;
        let numbers: Vec<usize> = live.stacks.iter().map(|stack| self.number(stack)).collect();
        for block in &live.blocks {
            let stack = block.stack.map(|stack| numbers[stack]);
            self.see(now, block, stack, is_first);
        }
        let (looks, mut gone) = (self.looks, Vec::new());
        self.known.retain(|_, known| {
            let is_there = known.look == looks;
            if !is_there {
                gone.push(BlockEvent {
                    at: now,
                    block: known.block,
                    bytes: -known.bytes,
                    stack: known.stack,
                });
            }
            is_there
        });
        gone.sort_by_key(|event| event.block);
        gone.into_iter().for_each(|event| self.push(event));
        if !is_first {
            self.longest_gap = self.longest_gap.max(now.saturating_sub(self.last));
        }
        self.last = now;
    }

    fn see(&mut self, now: Duration, block: &LiveBlock, stack: Option<usize>, is_first: bool) {
        let look = self.looks;
        if let Some(known) = self.known.get_mut(&block.fingerprint()) {
            known.look = look;
            return;
        }
        self.next_block += 1;
        let (number, bytes) = (self.next_block, block.weight * block.size as f64);
        self.known.insert(block.fingerprint(), Known { block: number, bytes, stack, look });
        if !is_first {
            // It is younger than the last look, whatever its age says, which has steps of a sixteenth of a second.
            let at = now.saturating_sub(block.age).clamp(self.last, now);
            self.push(BlockEvent { at, block: number, bytes, stack });
        }
    }

    fn number(&mut self, stack: &StackTrace) -> usize {
        *self.numbers.entry(stack.clone()).or_insert_with(|| {
            self.stacks.push(stack.clone());
            self.stacks.len() - 1
        })
    }

    fn push(&mut self, event: BlockEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        } else {
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(addresses: &[usize]) -> LiveBlocks {
        let mut live = LiveBlocks::default();
        live.blocks = addresses.iter().map(|&address| LiveBlock::of_test(address, 100)).collect();
        live.stacks = vec![StackTrace::of_return_addresses([1])];
        live.blocks.iter_mut().for_each(|block| block.stack = Some(0));
        live
    }

    /// What was there at the first look came before the trace, and is told only when it goes.
    #[test]
    fn blocks_come_and_go_between_looks() {
        let mut blocks = Blocks::default();
        let at = Duration::from_secs;
        blocks.add(at(0), &live(&[16, 32]));
        blocks.add(at(1), &live(&[16, 32, 48]));
        blocks.add(at(3), &live(&[16, 48]));
        blocks.add(at(4), &live(&[16]));
        let event = |at, block, bytes| BlockEvent { at, block, bytes, stack: Some(0) };
        assert_eq!(blocks.events, [event(at(1), 3, 100.0), event(at(3), 2, -100.0), event(at(4), 3, -100.0)]);
        assert_eq!((blocks.stacks.len(), blocks.longest_gap), (1, at(2)));
    }

    #[test]
    fn events_without_room_are_counted() {
        let mut blocks = Blocks::default();
        blocks.add(Duration::ZERO, &live(&[]));
        let many: Vec<usize> = (1..MAX_EVENTS + 4).collect();
        blocks.add(Duration::ZERO, &live(&many));
        assert_eq!((blocks.events.len(), blocks.lost), (MAX_EVENTS, 3));
    }
}
