//! What measurements count on one stack.
//!
//! Each stack has a list with one entry for each slot that ever counted on it. An entry adds up what its slot counts and never
//! begins anew. A measurement that meets an entry for the first time notes its sums and adds it to a list of its own. So a
//! measurement begins without a look at any stack, and its end looks at those alone that it met.
//!
//! Path: *allocation path*, measured allocations only.

use std::sync::atomic::{AtomicU64, Ordering::*};

use super::counts::Counts;
use crate::memory::{self, AtomicRef, Purpose};
use unwinder::CodeAddress;

/// How many measurements of one thread may run at a time, each within the one before.
pub(crate) const DEPTH: usize = 4;
/// The level at which measurements of the process count. The others are those of a thread.
pub(super) const OF_PROCESS: usize = DEPTH;
pub(super) const LEVELS: usize = DEPTH + 1;

/// The frames of a stack, of which the outermost is the first.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) frames: &'static [CodeAddress],
    pub(crate) is_truncated: bool,
}

/// This is what one slot counted on one stack.
pub(crate) struct OfStack {
    slot: u32,
    stack: Frames,
    objects: AtomicU64,
    bytes: AtomicU64,
    next: AtomicRef<OfStack>,
    marks: [Mark; LEVELS],
}

/// This keeps the sums as one measurement found them.
struct Mark {
    /// The measurement, by a number that no other has; 0 if there was none.
    serial: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    /// The next entry that the measurement met.
    next: AtomicRef<OfStack>,
}

impl Mark {
    const fn none() -> Self {
        Mark {
            serial: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            next: AtomicRef::none(),
        }
    }
}

impl OfStack {
    /// Finds or adds the entry of `slot` in the list of a stack. It returns `None` if there is no memory left.
    pub(super) fn in_list(
        list: &'static AtomicRef<OfStack>,
        slot: u32,
        stack: Frames,
    ) -> Option<&'static OfStack> {
        let mut head = list.load();
        let of_slot = |mut entry: Option<&'static OfStack>| {
            while entry.is_some_and(|entry| entry.slot != slot) {
                entry = entry.and_then(|entry| entry.next.load());
            }
            entry
        };
        if let Some(entry) = of_slot(head) {
            return Some(entry);
        }
        let entry = memory::allocate(
            OfStack {
                slot,
                stack,
                objects: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                next: AtomicRef::none(),
                marks: [const { Mark::none() }; LEVELS],
            },
            Purpose::Stacks,
        )?;
        loop {
            entry.next.store(head);
            match list.replace(head, entry) {
                Ok(()) => return Some(entry),
                // Another thread has added to the list, and perhaps this very entry.
                Err(newer) => match of_slot(newer) {
                    Some(theirs) => return Some(theirs),
                    None => head = newer,
                },
            }
        }
    }

    /// Has the measurement `serial`, which counts at `level`, find this entry in its list. It must be called before the entry
    /// counts anything for it, and by one thread at a time for each level.
    pub(super) fn meet(&'static self, level: usize, serial: u64, list: &AtomicRef<OfStack>) {
        let Some(mark) = self.marks.get(level) else { return };
        mark.objects.store(self.objects.load(Relaxed), Relaxed);
        mark.bytes.store(self.bytes.load(Relaxed), Relaxed);
        mark.next.store(list.load());
        list.store(Some(self));
        mark.serial.store(serial, Release);
    }

    /// Whether the measurement `serial`, which counts at `level`, has met this entry.
    pub(super) fn was_met(&self, level: usize, serial: u64) -> bool {
        self.marks.get(level).is_some_and(|mark| mark.serial.load(Acquire) == serial)
    }

    pub(super) fn add(&self, size: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(size, Relaxed);
    }

    /// Calls `visit` with each stack in the list of a measurement at `level`, and with what was counted on it since.
    pub(super) fn for_each_met(
        first: Option<&'static OfStack>,
        level: usize,
        mut visit: impl FnMut(Frames, Counts),
    ) {
        let mut entry = first;
        while let Some(met) = entry {
            let Some(mark) = met.marks.get(level) else { return };
            let since =
                |now: &AtomicU64, then: &AtomicU64| now.load(Relaxed).wrapping_sub(then.load(Relaxed));
            let counts =
                Counts { objects: since(&met.objects, &mark.objects), bytes: since(&met.bytes, &mark.bytes) };
            visit(met.stack, counts);
            entry = mark.next.load();
        }
    }
}
