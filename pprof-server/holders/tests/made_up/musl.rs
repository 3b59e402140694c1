//! Memory as musl's allocator and its threads lay it out.

use holders::{Block, End, Link, Root};

use crate::world::{HEAP, OTHER_THREAD, STATICS, THREAD_POINTER, World};

/// Where the page of records is.
const RECORDS: u64 = 0x60_0000;
/// The first group has slots of 64 bytes, the second one of 240.
const SMALL: (u64, u64, u64) = (HEAP, 3, 64);
const LARGE: (u64, u64, u64) = (HEAP + 0x1000, 11, 240);

/// Makes a group, with its record. `free` has a bit for each of its four slots that is free.
fn group(world: &World, number: u64, (start, class, slot_bytes): (u64, u64, u64), free: u64) {
    let record = RECORDS + 24 + 40 * number;
    world.set(start, record);
    for (place, word) in [(16, start), (24, free), (32, 3 | 1 << 5 | class << 6)] {
        world.set(record + place, word);
    }
    for slot in 0..4 {
        block_in(world, (start, class, slot_bytes), slot, 0);
    }
}

/// Writes what is before a block that begins so many units behind its slot. Returns the address of the block.
fn block_in(world: &World, (start, _, slot_bytes): (u64, u64, u64), slot: u64, shift: u64) -> u64 {
    let first = start + 16 + slot * slot_bytes;
    if shift > 0 {
        world.set(first - 8, 7 << 45 | shift << 48);
    }
    let block = first + 16 * shift;
    world.set(block - 8, slot << 40 | ((block - start - 16) / 16) << 48);
    block
}

/// The blocks of the first group are sampled, and the first of them is the target. Of the second group, the second slot is free.
fn world() -> (World, u64) {
    let mut world = World::new();
    world.set(RECORDS, 0x1234_5678_9abc);
    world.set(RECORDS + 16, 101);
    group(&world, 0, SMALL, 0);
    // It was freed, and is not to be had yet.
    group(&world, 1, LARGE, 0b10 << 32);
    for slot in 0..4 {
        let address = block_in(&world, SMALL, slot, 0);
        world.blocks.push(Block { address, bytes: 50, site: 1, target: (slot == 0).then_some(7) });
    }
    let target = world.blocks[0].address;
    (world, target)
}

#[test]
fn a_block_that_was_not_sampled_is_known_by_its_slot() {
    let (world, target) = world();
    let free = block_in(&world, LARGE, 1, 0);
    let owner = block_in(&world, LARGE, 2, 2);
    world.set(free + 0x40, target);
    world.set(STATICS + 8, owner);
    assert_eq!((world.only().links, world.only().end), (vec![], End::Lost), "free memory holds nothing");
    world.set(owner + 0x40, target);
    let chain = world.only();
    // Its slot is 240 bytes long. It begins two units behind the slot's beginning, and the allocator's own words end it.
    assert_eq!(chain.links, [Link::Unsampled { bytes: 200 }]);
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
}

/// A group may lie in a slot of a larger one.
#[test]
fn the_innermost_slot_counts() {
    let (world, target) = world();
    let outer = block_in(&world, LARGE, 3, 0);
    let inner = (outer, 2, 48);
    group(&world, 2, inner, 0b1);
    let [free, owner] = [0, 1].map(|slot| block_in(&world, inner, slot, 0));
    world.set(free + 8, target);
    world.set(STATICS + 8, owner);
    assert_eq!(world.only().end, End::Lost);
    world.set(owner + 8, target);
    assert_eq!(world.only().links, [Link::Unsampled { bytes: 40 }]);
}

/// Where there are more records than are read, a place may be in a group whose record was left out. So no slot is told then.
#[test]
fn more_records_than_are_read_tell_nothing() {
    let (world, target) = world();
    let owner = block_in(&world, LARGE, 2, 0);
    world.set(owner + 0x40, target);
    world.set(STATICS + 8, owner);
    let has_pages = |count: u64| {
        for page in 1..count {
            world.set(RECORDS + 4096 * (page - 1) + 8, RECORDS + 4096 * page);
            world.set(RECORDS + 4096 * page, 0x1234_5678_9abc);
        }
    };
    has_pages(2048);
    assert_eq!(world.only().end, End::Root(Root::Static(STATICS + 8)));
    has_pages(2049);
    assert_eq!(world.only().end, End::Unsampled);
}

#[test]
fn a_page_that_has_no_records_is_not_believed() {
    let (world, target) = world();
    let owner = block_in(&world, LARGE, 2, 0);
    world.set(owner + 0x40, target);
    world.set(STATICS + 8, owner);
    // The record leads elsewhere, so that the sampled blocks are not known to be musl's.
    world.set(RECORDS + 24 + 16, HEAP + 0x2000);
    assert_eq!(world.only().end, End::Unsampled);
}

#[test]
fn variables_of_a_thread_are_known_by_its_record() {
    let (world, target) = world();
    for (place, word) in [(0x2d0, 0), (24, THREAD_POINTER), (48, u64::from(OTHER_THREAD) | 11 << 32)] {
        world.set(THREAD_POINTER + place, word);
    }
    world.set(THREAD_POINTER - 0x40, target);
    assert_eq!(world.only().end, End::Root(Root::ThreadLocal(OTHER_THREAD, 0x40)));
    // Another program's number, or none.
    world.set(THREAD_POINTER + 48, 1);
    assert_ne!(world.only().end, End::Root(Root::ThreadLocal(OTHER_THREAD, 0x40)));
}
