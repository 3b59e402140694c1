//! Interned stacks and what each has allocated so far.
//!
//! A stack is kept once and for ever, and so is each of its *sites*: the stack with one size class, with running
//! totals. Both are linked into lists that only ever grow at the head, by compare-and-swap, so there is no
//! lock to wait for and none that a stopped thread could hold. When a limit is reached, samples go to the overflow sites,
//! one for each size class, so that totals stay right.
//!
//! Only what was allocated is summed here. What is in use is the sum over the live table, so it cannot drift.
//!
//! Path: *allocation path*, sampled allocations only; `for_each` is on the read path.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::alone::Alone;
use crate::memory::{self, AtomicRef, Purpose};
use crate::totals::Totals;
use crate::{drops, limits, size_class, variance};
use unwinder::{CodeAddress, Cookie, Walk};

/// How many lists of stacks there are. The lists stay short up to some hundred thousand stacks.
const BUCKETS: usize = 1 << 16;

static STACKS: [AtomicRef<Stack>; BUCKETS] = [const { AtomicRef::none() }; BUCKETS];
static STACK_COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT_STACK_ID: AtomicU32 = AtomicU32::new(0);

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
/// The overflow sites, by size class. Their ids are the first ones.
static OVERFLOW: [Site; size_class::COUNT] = {
    let mut sites = [const { Site::new(0, 0) }; size_class::COUNT];
    let mut index = 0;
    while index < size_class::COUNT {
        sites[index] = Site::new(index as u32, size_class::at(index));
        index += 1;
    }
    sites
};
static NEXT_SITE_ID: AtomicU32 = AtomicU32::new(size_class::COUNT as u32);

pub(crate) struct Stack {
    /// The number of the stack, which no other has as long as the process runs.
    pub(crate) id: u32,
    hash: u64,
    /// The frames, of which the outermost is the first.
    pub(crate) frames: &'static [CodeAddress],
    pub(crate) is_truncated: bool,
    next: AtomicRef<Stack>,
    sites: AtomicRef<Site>,
}

/// A site: one stack with one size class.
pub(crate) struct Site {
    /// The number of the site. Numbers are dense from zero, so that snapshots can use them as indices. It is set once, before
    /// others can find the site.
    id: AtomicU32,
    pub(crate) size_class: u64,
    next: AtomicRef<Site>,
    /// How many samples stand for themselves alone, as all do at the interval 1.
    single_samples: AtomicU64,
    /// How many bytes these have.
    single_bytes: AtomicU64,
    /// How many other samples there are.
    samples: AtomicU64,
    /// How many objects those stand for.
    objects: Sum,
    /// How many bytes those stand for.
    bytes: Sum,
    /// The variance of `objects`: see `variance`.
    objects_variance: Sum,
    /// The variance of `bytes`, in square bytes.
    bytes_variance: Sum,
}

impl Site {
    const fn new(id: u32, size_class: u64) -> Self {
        Site {
            id: AtomicU32::new(id),
            size_class,
            next: AtomicRef::none(),
            single_samples: AtomicU64::new(0),
            single_bytes: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            objects: Sum::zero(),
            bytes: Sum::zero(),
            objects_variance: Sum::zero(),
            bytes_variance: Sum::zero(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    /// Counts a sampled block of `size` bytes that stands for `weight` objects.
    #[inline(always)]
    pub(crate) fn add(&self, size: usize, weight: f64) {
        if weight == 1.0 {
            // mutant: B4 what is added meanwhile is lost
            self.single_samples.fetch_add(1, Relaxed);
            self.single_bytes.fetch_add(size as u64, Relaxed);
        } else {
            self.add_weighted(size, weight);
        }
    }

    fn add_weighted(&self, size: usize, weight: f64) {
        let size = size as f64;
        let variance = variance::of_objects(weight);
        self.objects.add(weight);
        self.bytes.add(weight * size);
        self.objects_variance.add(variance);
        self.bytes_variance.add(variance * size * size);
        self.samples.fetch_add(1, Relaxed);
    }

    /// Returns what the site ever allocated. It says nothing about what is in use.
    pub(crate) fn allocated(&self) -> Totals {
        let singles = self.single_samples.load(Relaxed);
        let single_bytes = self.single_bytes.load(Relaxed);
        Totals {
            alloc_objects: self.objects.get() + singles as f64,
            alloc_bytes: self.bytes.get() + single_bytes as f64,
            alloc_samples: self.samples.load(Relaxed).wrapping_add(singles) as i64,
            alloc_objects_variance: self.objects_variance.get(),
            alloc_bytes_variance: self.bytes_variance.get(),
            ..Totals::default()
        }
    }

    fn is_used(&self) -> bool {
        self.single_samples.load(Relaxed) > 0 || self.samples.load(Relaxed) > 0
    }
}

/// Adds up positive numbers. The sum never falls, and integers up to 2^53 add up exactly.
struct Sum(AtomicU64);

impl Sum {
    const fn zero() -> Self {
        Sum(AtomicU64::new(0))
    }

    fn add(&self, addend: f64) {
        let add = |bits: u64| Some((f64::from_bits(bits) + addend).to_bits());
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// Returns the site of blocks of `size` bytes whose stack could not be taken.
pub(crate) fn site_without_stack(size: usize) -> &'static Site {
    site(intern(&[], false, unwinder::hash_of(&[])), size)
}

/// Returns the site of blocks of `size` bytes that are allocated on `stack`, or an overflow site if there is no room.
#[inline(always)]
pub(crate) fn site(stack: Option<&'static Stack>, size: usize) -> &'static Site {
    let class = size_class::size_class(size);
    let site = stack.and_then(|stack| site_of(stack, class));
    site.unwrap_or_else(|| {
        // mutant: B8 samples under the overflow stack are not told
        drops::STACKS_FULL.raise();
        overflow_site(class)
    })
}

#[expect(clippy::indexing_slicing, reason = "the minimum keeps it in range, which the compiler sees")]
fn overflow_site(class: u64) -> &'static Site {
    &OVERFLOW[size_class::index(class).min(size_class::COUNT - 1)]
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
    let bits = CodeAddress::slice_to_bits(frames);
    let is_same = |stack: &Stack| {
        stack.hash == hash
            && stack.is_truncated == is_truncated
            && CodeAddress::slice_to_bits(stack.frames) == bits
    };

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
        let (next, sites) = (AtomicRef::none(), AtomicRef::none());
        memory::allocate(Stack { id, hash, frames, is_truncated, next, sites }, Purpose::Stacks)
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
fn site_of(stack: &'static Stack, class: u64) -> Option<&'static Site> {
    let mut head = stack.sites.load();
    let is_same = |site: &Site| site.size_class == class;
    if let Some(site) = walk(head, None, |site| &site.next).find(|site| is_same(site)) {
        return Some(site);
    }
    let site = memory::allocate(Site::new(0, class), Purpose::Stacks)?;
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
    for site in OVERFLOW.iter().filter(|site| site.is_used()) {
        visit(None, site);
    }
}

/// Forgets the stacks of the parent of a fork, and what they allocated.
pub(crate) fn begin_anew(_: &Alone) {
    // Only heads that are in use are written: the pages of the others need not be copied for the child.
    STACKS.iter().filter(|head| head.load().is_some()).for_each(|head| head.store(None));
    STACK_COUNT.store(0, Relaxed);
    NEXT_STACK_ID.store(0, Relaxed);
    NEXT_SITE_ID.store(size_class::COUNT as u32, Relaxed);
    for site in OVERFLOW.iter().filter(|site| site.is_used()) {
        let sums = [&site.objects, &site.bytes, &site.objects_variance, &site.bytes_variance];
        let counts = [&site.single_samples, &site.single_bytes, &site.samples];
        sums.map(|sum| &sum.0).into_iter().chain(counts).for_each(|sum| sum.store(0, Relaxed));
    }
}

/// Returns a bound that is higher than the id of every site.
pub(crate) fn site_id_bound() -> usize {
    NEXT_SITE_ID.load(Relaxed) as usize
}

/// Returns how many distinct stacks are kept.
pub(crate) fn len() -> usize {
    STACK_COUNT.load(Relaxed)
}
