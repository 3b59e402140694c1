//! Which memory is searched, and what a word in it is part of.

/// A range of addresses that the program may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it begins.
    pub start: u64,
    /// This is the first address after it.
    pub limit: u64,
    /// What it is.
    pub kind: RegionKind,
}

/// What a range of addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// It has variables of the program or of a library, which live as long as that.
    Statics,
    /// It has variables of the C library or of the loader. The allocator's lists of free blocks begin there, so a block that is
    /// found from there alone may be free. Nothing there counts as a holder.
    Allocator,
    /// It is the stack of the first thread.
    MainStack,
    /// It is everything else: the heap, stacks of other threads, and what the program has mapped.
    Other,
}

/// This is a thread of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The kernel calls it by this number.
    pub id: u32,
    /// Its stack pointer, where the thread waits in the kernel. What lies below it is not used any more.
    pub stack_pointer: Option<u64>,
}

/// What begins a chain of holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// It is a static variable, and this is the address of the word.
    Static(u64),
    /// It is a variable of a thread, with the number of the thread and how many bytes below its thread pointer the word lies.
    ThreadLocal(u32, u64),
    /// It is a word on the stack of the thread with this number. Perhaps nobody uses it any more.
    Stack(u32),
}

/// What a word in memory is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Root(Root),
    /// A stack whose stack pointer is not known, so that the word may have been left behind.
    RunningStack(u32),
    /// What the thread with this number has left behind below its stack pointer.
    BelowStack(u32),
    /// A block that was not sampled, or free memory.
    Unsampled,
    /// It is a variable of the C library or the loader.
    Allocator,
    /// Nothing that holds anything.
    Nothing,
}

/// So many bytes below the stack pointer are in use too.
const RED_ZONE_BYTES: u64 = 128;
/// A thread's record of the C library is no longer than this.
const RECORD_BYTES: u64 = 4096;

/// Regions and threads, as they are looked up.
pub(crate) struct Places<'a> {
    pub(crate) regions: &'a [Region],
    pub(crate) threads: &'a [Thread],
    /// The thread pointers that were found, ascending, each with the index of its thread.
    pub(crate) thread_pointers: &'a [(u64, usize)],
    /// How many bytes below the thread pointer the program's own variables have.
    pub(crate) thread_local_bytes: u64,
    /// Ranges that belong to the search itself. They are [`merged`].
    pub(crate) left_out: &'a [(u64, u64)],
}

impl Places<'_> {
    /// Tells what the word at `address` is part of, if that is no block that is known.
    pub(crate) fn place(&self, address: u64) -> Place {
        let Some(region) = self.region(address) else { return Place::Nothing };
        if is_within(self.left_out, address) {
            return Place::Nothing;
        }
        match region.kind {
            RegionKind::Statics => Place::Root(Root::Static(address)),
            RegionKind::Allocator => Place::Allocator,
            RegionKind::MainStack => match self.threads.first() {
                Some(main) => on_stack(main, address),
                None => Place::Nothing,
            },
            RegionKind::Other => self.on_thread(region, address).unwrap_or(Place::Unsampled),
        }
    }

    fn region(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        let region = &self.regions[after.checked_sub(1)?];
        (address < region.limit).then_some(region)
    }

    /// Tells whether the word is on the stack of a thread, or among its variables.
    fn on_thread(&self, region: &Region, address: u64) -> Option<Place> {
        let next = self.thread_pointers.partition_point(|&(pointer, _)| pointer + RECORD_BYTES <= address);
        let &(pointer, thread) = self.thread_pointers.get(next)?;
        if !(region.start..region.limit).contains(&pointer) {
            return None;
        }
        let thread = &self.threads[thread];
        if address >= pointer.saturating_sub(self.thread_local_bytes) {
            // The record above the thread pointer counts as the thread's own too: it holds what the thread was started with.
            return Some(Place::Root(Root::ThreadLocal(thread.id, pointer.saturating_sub(address))));
        }
        // The first thread has its variables in memory of the loader, which is no stack.
        let is_on_stack = thread.stack_pointer.is_none_or(|stack| (region.start..pointer).contains(&stack));
        let is_main = self.threads.first().is_some_and(|main| main.id == thread.id);
        (is_on_stack && !is_main).then(|| on_stack(thread, address))
    }
}

fn on_stack(thread: &Thread, address: u64) -> Place {
    match thread.stack_pointer {
        // mutant: H1 what a thread has left behind below its stack pointer holds
        Some(pointer) if address < pointer.saturating_sub(RED_ZONE_BYTES) => Place::BelowStack(thread.id),
        Some(_) => Place::Root(Root::Stack(thread.id)),
        None => Place::RunningStack(thread.id),
    }
}

/// Whether one of `ranges`, which are [`merged`], has `address` in it.
pub(crate) fn is_within(ranges: &[(u64, u64)], address: u64) -> bool {
    let after = ranges.partition_point(|&(start, _)| start <= address);
    after.checked_sub(1).is_some_and(|index| address < ranges[index].1)
}

/// Makes ascending ranges of `ranges`, of which no two have an address in common.
pub(crate) fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let is_joined = next.0 <= before.1;
        if is_joined {
            before.1 = before.1.max(next.1);
        }
        is_joined
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, limit: u64, kind: RegionKind) -> Region {
        Region { start, limit, kind }
    }

    #[test]
    fn ranges_are_merged() {
        let ranges = merged(vec![(0x30, 0x40), (0x10, 0x20), (0x18, 0x19), (0x20, 0x28), (0x50, 0x50)]);
        assert_eq!(ranges, [(0x10, 0x28), (0x30, 0x40), (0x50, 0x50)]);
        for (address, expected) in
            [(0xf, false), (0x10, true), (0x27, true), (0x28, false), (0x3f, true), (0x50, false)]
        {
            assert_eq!(is_within(&ranges, address), expected, "{address:#x}");
        }
    }

    #[test]
    fn a_word_is_told_by_where_it_lies() {
        let regions = [
            region(0x1000, 0x2000, RegionKind::Statics),
            region(0x2000, 0x3000, RegionKind::Allocator),
            region(0x10_0000, 0x20_0000, RegionKind::Other),
            region(0x30_0000, 0x31_0000, RegionKind::Other),
            region(0x40_0000, 0x50_0000, RegionKind::MainStack),
        ];
        let threads = [
            Thread { id: 1, stack_pointer: Some(0x41_0000) },
            Thread { id: 2, stack_pointer: Some(0x18_0000) },
        ];
        let places = Places {
            regions: &regions,
            threads: &threads,
            thread_pointers: &[(0x1f_0000, 1), (0x30_8000, 0)],
            thread_local_bytes: 0x100,
            left_out: &[(0x1800, 0x1900)],
        };
        for (address, expected) in [
            (0x0, Place::Nothing),
            (0x1010, Place::Root(Root::Static(0x1010))),
            (0x1810, Place::Nothing),
            (0x2010, Place::Allocator),
            (0x3010, Place::Nothing),
            (0x10_0000, Place::BelowStack(2)),
            (0x17_ff78, Place::BelowStack(2)),
            (0x17_ff80, Place::Root(Root::Stack(2))),
            (0x18_0010, Place::Root(Root::Stack(2))),
            (0x1e_ff00, Place::Root(Root::ThreadLocal(2, 0x100))),
            (0x1f_0008, Place::Root(Root::ThreadLocal(2, 0))),
            (0x1f_1008, Place::Unsampled),
            (0x30_0008, Place::Unsampled),
            (0x30_7ff8, Place::Root(Root::ThreadLocal(1, 8))),
            (0x40_0008, Place::BelowStack(1)),
            (0x42_0000, Place::Root(Root::Stack(1))),
        ] {
            assert_eq!(places.place(address), expected, "{address:#x}");
        }
    }
}
