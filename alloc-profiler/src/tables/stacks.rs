//! Stacks are interned here, each with what it has allocated so far.
//!
//! A stack is kept once and for ever, and so is each of its *sites*: the stack with one size class and one label, with running
//! totals. Both are linked into lists that only ever grow at the head, by compare-and-swap, so there is no
//! lock to wait for and none that a stopped thread could hold. When a limit is reached, samples go to the overflow sites,
//! one for each size class of Rust's blocks and one for each of C's, so that totals stay right.
//!
//! Only what was allocated is summed here. What is in use is the sum over the live table, so it cannot drift.
//!
//! Path: *allocation path*, sampled allocations only; `for_each` is on the read path.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::estimate::size_class;
use crate::estimate::totals::Totals;
use crate::memory::limits;
use crate::memory::{self, AtomicRef, Purpose};
use crate::process::alone::Alone;
use crate::tables::allocated::Allocated;
use crate::tables::drops;
use crate::tables::measured::{Frames, OfStack};
use unwinder::{CodeAddress, Cookie, Walk};

/// How many lists of stacks there are. The lists stay short up to some hundred thousand stacks.
const BUCKETS: usize = 1 << 16;

static STACKS: [AtomicRef<Stack>; BUCKETS] = [const { AtomicRef::none() }; BUCKETS];
static STACK_COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT_STACK_ID: AtomicU32 = AtomicU32::new(0);

/// This bit of a label says that C asked for the block. No label of a thread has it.
pub(crate) const BY_C: u32 = 1 << 31;

/// Holds the overflow sites of Rust's blocks, and of C's, by size class. Their ids are the first ones.
static OVERFLOW: [[Site; size_class::COUNT]; 2] =
    [overflow_sites(0, 0), overflow_sites(size_class::COUNT as u32, BY_C)];
const OVERFLOW_COUNT: u32 = 2 * size_class::COUNT as u32;
static NEXT_SITE_ID: AtomicU32 = AtomicU32::new(OVERFLOW_COUNT);

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn overflow_sites(first_id: u32, label: u32) -> [Site; size_class::COUNT] {
    let mut sites = [const { Site::new(0, 0, 0) }; size_class::COUNT];
    let mut index = 0;
    while index < size_class::COUNT {
        sites[index] = Site::new(first_id + index as u32, size_class::at(index), label);
        index += 1;
    }
    sites
}

pub(crate) struct Stack {
    /// The number of the stack, which no other has as long as the process runs.
    pub(crate) id: u32,
    hash: u64,
    /// The frames, of which the outermost is the first.
    pub(crate) frames: &'static [CodeAddress],
    pub(crate) is_truncated: bool,
    next: AtomicRef<Stack>,
    sites: AtomicRef<Site>,
    /// This lists what measurements counted on it.
    measured: AtomicRef<OfStack>,
}

impl Stack {
    #[inline(always)]
    fn is(&self, frames: &[CodeAddress], is_truncated: bool, hash: u64) -> bool {
        self.hash == hash
            && self.is_truncated == is_truncated
            && CodeAddress::slice_to_bits(self.frames) == CodeAddress::slice_to_bits(frames)
    }

    /// Returns the list in which measurements count on this stack, and what the stack is made of.
    pub(crate) fn for_measurements(&'static self) -> (&'static AtomicRef<OfStack>, Frames) {
        (&self.measured, Frames { frames: self.frames, is_truncated: self.is_truncated })
    }
}

/// A site is one stack with one size class and one label.
pub(crate) struct Site {
    /// Numbers the site. The numbers are dense from zero, so that snapshots can use them as indices. It is set once, before
    /// others can find the site.
    id: AtomicU32,
    /// This says who asked for the blocks, and what the thread worked for: see `labels::present`.
    pub(crate) label: u32,
    pub(crate) size_class: u64,
    next: AtomicRef<Site>,
    allocated: Allocated,
}

impl Site {
    const fn new(id: u32, size_class: u64, label: u32) -> Self {
        Site {
            id: AtomicU32::new(id),
            label,
            size_class,
            next: AtomicRef::none(),
            allocated: Allocated::nothing(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    /// Counts a sampled block of `size` bytes that stands for `weight` objects.
    #[inline(always)]
    pub(crate) fn add(&self, size: usize, weight: f64) {
        self.allocated.add(size, weight);
    }

    /// Returns what the site ever allocated. It says nothing about what is in use.
    pub(crate) fn allocated(&self) -> Totals {
        self.allocated.totals()
    }
}

/// Returns the stack of blocks whose stack could not be taken, which is empty, or `None` if there is no room.
pub(crate) fn no_stack() -> Option<&'static Stack> {
    intern(&[], false, unwinder::hash_of(&[]))
}

/// Returns the site of blocks of `size` bytes that are allocated on `stack` under `label`, or an overflow site if there is no
/// room. Of labels, overflow sites tell only whether C asked.
#[inline(always)]
pub(crate) fn site(stack: Option<&'static Stack>, size: usize, label: u32) -> &'static Site {
    let class = size_class::size_class(size);
    let site = stack.and_then(|stack| site_of(stack, class, label));
    site.unwrap_or_else(|| {
        // mutant: B8 samples under the overflow stack are not told
        drops::STACKS_FULL.raise();
        overflow_site(class, label)
    })
}

#[expect(clippy::indexing_slicing, reason = "the minimum keeps it in range, which the compiler sees")]
fn overflow_site(class: u64, label: u32) -> &'static Site {
    let [of_rust, of_c] = &OVERFLOW;
    // mutant: E113 beyond the limit on stacks all blocks are Rust's
    let sites = if label & BY_C == 0 { of_rust } else { of_c };
    &sites[size_class::index(class).min(size_class::COUNT - 1)]
}

/// Finds or adds the stack that a walk found, and has the unwinder remember it. It returns `None` if there is no room.
pub(crate) fn find_or_add(walk: Walk<'_>) -> Option<&'static Stack> {
    let stack = intern(walk.frames(), walk.is_truncated(), walk.hash())?;
    walk.remember(Cookie(memory::number_of(stack)));
    Some(stack)
}

/// Returns the stack that the unwinder remembers.
#[inline(always)]
pub(crate) fn of_cookie(Cookie(number): Cookie) -> &'static Stack {
    // SAFETY: the unwinder returns what `find_or_add` gave it.
    unsafe { memory::of_number(number) }
}

fn intern(frames: &[CodeAddress], is_truncated: bool, hash: u64) -> Option<&'static Stack> {
    let bucket = STACKS.get(bucket(hash))?;
    let is_same = |stack: &Stack| stack.is(frames, is_truncated, hash);

    let mut head = bucket.load();
    if let Some(stack) = walk(head, None, |stack| &stack.next).find(|stack| is_same(stack)) {
        return Some(stack);
    }
    // mutant: C1 any number of stacks
    let counted = STACK_COUNT
        .fetch_update(Relaxed, Relaxed, |count| (count < limits::stacks()).then(|| count.wrapping_add(1)));
    counted.ok()?;
    let stack = memory::copy(frames, Purpose::Stacks).and_then(|frames| {
        let id = NEXT_STACK_ID.fetch_add(1, Relaxed);
        let (next, sites, measured) = (AtomicRef::none(), AtomicRef::none(), AtomicRef::none());
        memory::allocate(Stack { id, hash, frames, is_truncated, next, sites, measured }, Purpose::Stacks)
    });
    let Some(stack) = stack else {
        STACK_COUNT.fetch_sub(1, Relaxed);
        return None;
    };
    loop {
        stack.next.store(head);
        match bucket.replace(head, stack) {
            Ok(()) => return Some(stack),
            Err(newer) => {
                // Another thread has added to the list. If it added this very stack, the memory of ours is wasted, once.
                if let Some(theirs) = walk(newer, head, |stack| &stack.next).find(|stack| is_same(stack)) {
                    STACK_COUNT.fetch_sub(1, Relaxed);
                    return Some(theirs);
                }
                head = newer;
            }
        }
    }
}

/// Finds or adds the site of a stack.
fn site_of(stack: &'static Stack, class: u64, label: u32) -> Option<&'static Site> {
    let mut head = stack.sites.load();
    let is_same = |site: &Site| site.size_class == class && site.label == label;
    if let Some(site) = walk(head, None, |site| &site.next).find(|site| is_same(site)) {
        return Some(site);
    }
    let site = memory::allocate(Site::new(0, class, label), Purpose::Stacks)?;
    site.id.store(NEXT_SITE_ID.fetch_add(1, Relaxed), Relaxed);
    loop {
        site.next.store(head);
        match stack.sites.replace(head, site) {
            Ok(()) => return Some(site),
            Err(newer) => {
                if let Some(theirs) = walk(newer, head, |site| &site.next).find(|site| is_same(site)) {
                    return Some(theirs);
                }
                head = newer;
            }
        }
    }
}

/// Returns the members of a list from `first` up to but not including `end`.
fn walk<T: Sync>(
    first: Option<&'static T>,
    end: Option<&'static T>,
    next: impl Fn(&'static T) -> &'static AtomicRef<T>,
) -> impl Iterator<Item = &'static T> {
    let is_end = move |item: &&'static T| !end.is_some_and(|end| std::ptr::eq(*item, end));
    std::iter::successors(first, move |item| next(item).load()).take_while(is_end)
}

fn bucket(hash: u64) -> usize {
    (hash >> 48) as usize & (BUCKETS - 1)
}

/// Calls `visit` with every stack and each of its sites, and with `None` and each overflow site in use.
pub(crate) fn for_each(mut visit: impl FnMut(Option<&'static Stack>, &'static Site)) {
    for stack in STACKS.iter().flat_map(|head| walk(head.load(), None, |stack| &stack.next)) {
        for site in walk(stack.sites.load(), None, |site| &site.next) {
            visit(Some(stack), site);
        }
    }
    for site in OVERFLOW.iter().flatten().filter(|site| site.allocated.is_some()) {
        visit(None, site);
    }
}

/// Calls `visit` with every site of the stack that has these frames, of which the outermost is the first.
pub(crate) fn for_each_site_of(frames: &[CodeAddress], is_truncated: bool, visit: impl FnMut(&'static Site)) {
    let hash = unwinder::hash_of(frames);
    let mut in_bucket =
        STACKS.get(bucket(hash)).into_iter().flat_map(|head| walk(head.load(), None, |stack| &stack.next));
    if let Some(stack) = in_bucket.find(|stack| stack.is(frames, is_truncated, hash)) {
        walk(stack.sites.load(), None, |site| &site.next).for_each(visit);
    }
}

/// Forgets the stacks of the parent of a fork, and what they allocated.
pub(crate) fn begin_anew(alone: &Alone) {
    // Only heads that are in use are written: the pages of the others need not be copied for the child.
    STACKS.iter().filter(|head| head.load().is_some()).for_each(|head| head.store(None));
    STACK_COUNT.store(0, Relaxed);
    NEXT_STACK_ID.store(0, Relaxed);
    NEXT_SITE_ID.store(OVERFLOW_COUNT, Relaxed);
    OVERFLOW
        .iter()
        .flatten()
        .filter(|site| site.allocated.is_some())
        .for_each(|site| site.allocated.begin_anew(alone));
}

/// Returns a bound that is higher than the id of every site.
pub(crate) fn site_id_bound() -> usize {
    NEXT_SITE_ID.load(Relaxed) as usize
}

/// Returns how many distinct stacks are kept.
pub(crate) fn len() -> usize {
    STACK_COUNT.load(Relaxed)
}
