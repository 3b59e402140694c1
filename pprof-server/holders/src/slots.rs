//! Blocks that were not sampled, by the records of musl's allocator (mallocng, which musl has from 1.2.1 on).
//!
//! Blocks of about one size are slots of a *group*, and for each group there is a record that says where it is, how long its slots are and
//! which of them are free. These records lie in pages of their own, which begin with a number that is the same for all. A known block
//! leads to the record of its group, and so to these pages. A group may itself lie in a slot of a larger group.

use std::collections::BTreeSet;

use crate::block::Block;
use crate::chunk::{Chunk, SHARED_BYTES};
use crate::pages::PAGE_BYTES;
use crate::pass::Passes;

/// Blocks begin at multiples of this, and lengths are counted in it. A group has as much before its first slot.
const UNIT: u64 = 16;
/// The word before a block has the allocator's words on it.
const WORD_BYTES: u64 = 8;
/// How long slots are, in units.
#[rustfmt::skip]
const SIZE_CLASSES: [u64; 48] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 31, 36, 42, 50, 63, 72, 84, 102, 127,
    146, 170, 204, 255, 292, 340, 409, 511, 584, 682, 818, 1023, 1169, 1364, 1637, 2047,
    2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
];
/// The allocator writes this in the place of a slot's number where the block does not begin with its slot.
const IS_SHIFTED: u64 = 7 << 5;
/// A page of records begins with so many words: the number that is the same for all, the address of the next page, a count.
const PAGE_HEAD_WORDS: usize = 3;
/// A record has so many words: two of a list, where the group is, which slots are free, and lengths.
const RECORD_WORDS: usize = 5;
/// So many pages of records are read at most. Each has 101 records, and the groups of all take 8 MiB.
const MAX_RECORD_PAGES: usize = 2 << 10;
/// So many of the known blocks lead to pages of records.
const LEADING: usize = 1024;

/// This is a group of slots.
#[derive(Clone, Copy)]
struct Group {
    /// Where it begins. The first slot is one unit behind.
    start: u64,
    end: u64,
    slot_bytes: u64,
    /// A bit for each slot that is free.
    free: u32,
    /// The index of the group in whose slot this one lies.
    outer: Option<u32>,
}

/// Whether this block is musl's: the words before it lead to a record that leads back.
pub(crate) fn is_slot(passes: &Passes<'_>, block: &Block) -> bool {
    record_page(passes, block).is_some()
}

/// Returns the address of the page that has the record of the block's group.
fn record_page(passes: &Passes<'_>, block: &Block) -> Option<u64> {
    if !block.address.is_multiple_of(UNIT) {
        return None;
    }
    let before = passes.word(block.address.checked_sub(WORD_BYTES)?)?;
    // A distance that does not fit into 16 bits has 32 bits of its own.
    let is_far = before >> 32 & 0xff != 0;
    let units = if is_far { before & 0xffff_ffff } else { before >> 48 };
    let group = block.address.checked_sub(UNIT * (units + 1))?;
    let record = passes.word(group)?;
    let page = record / PAGE_BYTES * PAGE_BYTES;
    let leads_back = passes.word(record.checked_add(2 * WORD_BYTES)?)? == group;
    (page != 0 && leads_back).then_some(page)
}

/// Finds the slots of `places`.
pub(crate) fn slots(passes: &mut Passes<'_>, blocks: &[Block], places: &[u64]) -> Vec<Chunk> {
    let mut groups = groups(passes, blocks);
    let mut found = Vec::with_capacity(places.len());
    found.extend(places.iter().map(|&place| slot(passes, &groups, place).unwrap_or(Chunk::Unknown)));
    crate::block::wipe(&mut groups, Group { start: 0, end: 0, slot_bytes: 0, free: 0, outer: None });
    found
}

/// Returns the groups that there are, ascending. It returns none if there are more than are read: a place in a group that is not known would
/// be told to be in the slot around that group.
fn groups(passes: &mut Passes<'_>, blocks: &[Block]) -> Vec<Group> {
    let step = blocks.len().div_ceil(LEADING).max(1);
    let mut next: Vec<u64> =
        blocks.iter().step_by(step).filter_map(|block| record_page(passes, block)).collect();
    let Some(number) = next.first().and_then(|&page| passes.word(page)) else { return Vec::new() };
    let (mut seen, mut groups, mut words, mut pages) = (BTreeSet::new(), Vec::new(), Vec::new(), 0);
    while let Some(page) = next.pop() {
        if !seen.insert(page) {
            continue;
        }
        words.clear();
        passes.copy_from(page, page.saturating_add(PAGE_BYTES), &mut words);
        if words.first() != Some(&number) {
            continue;
        }
        pages += 1;
        // mutant: H34 a place in a group that was not read is in the slot around it
        if pages > MAX_RECORD_PAGES {
            return Vec::new();
        }
        // Pages follow one another, and what is asked of the system next is told by an address.
        next.extend(words.get(1).copied().filter(|&page| page != 0));
        next.extend(page.checked_sub(PAGE_BYTES));
        groups.extend(words[PAGE_HEAD_WORDS..].chunks_exact(RECORD_WORDS).filter_map(group));
    }
    crate::block::wipe(&mut words, 0);
    groups.sort_unstable_by_key(|group| group.start);
    let mut open: Vec<u32> = Vec::new();
    for index in 0..groups.len() {
        let start = groups[index].start;
        while open.pop_if(|outer| groups[*outer as usize].end <= start).is_some() {}
        groups[index].outer = open.last().copied();
        open.push(index as u32);
    }
    groups
}

/// Reads a record.
fn group(record: &[u64]) -> Option<Group> {
    let &[_, _, start, free, lengths] = record else { return None };
    let (last_slot, class, pages) = (lengths & 31, lengths >> 6 & 63, lengths >> 12);
    let slot_bytes = match pages {
        1.. if last_slot == 0 => pages.checked_mul(PAGE_BYTES)? - UNIT,
        _ => UNIT * SIZE_CLASSES.get(class as usize)?,
    };
    let end = start.checked_add(UNIT)?.checked_add(slot_bytes.checked_mul(last_slot + 1)?)?;
    // Some slots may be had at once, and others when those are gone.
    let free = free as u32 | (free >> 32) as u32;
    (start != 0).then_some(Group { start, end, slot_bytes, free, outer: None })
}

/// Returns what the slot is that has this place, if it is in one.
fn slot(passes: &Passes<'_>, groups: &[Group], place: u64) -> Option<Chunk> {
    let mut index = groups.partition_point(|group| group.start <= place).checked_sub(1)?;
    while groups[index].end <= place {
        index = groups[index].outer? as usize;
    }
    let group = &groups[index];
    let first = group.start + UNIT;
    // The allocator's own words hold nothing.
    let Some(offset) = place.checked_sub(first) else { return Some(Chunk::Free) };
    let number = offset / group.slot_bytes;
    if group.free >> number & 1 != 0 {
        return Some(Chunk::Free);
    }
    let slot = first + number * group.slot_bytes;
    let before = passes.word(slot - WORD_BYTES)?;
    let is_shifted = before >> 40 & 0xff == IS_SHIFTED;
    let start = if is_shifted { slot + UNIT * (before >> 48) } else { slot };
    let end = slot + group.slot_bytes - SHARED_BYTES;
    match place < start {
        true => Some(Chunk::Free),
        false => (start < end).then_some(Chunk::InUse { start, end }),
    }
}
