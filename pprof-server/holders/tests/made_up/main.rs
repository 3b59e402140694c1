//! Searches of memory that the tests make up: every word of it is known, and so is who holds what.

mod musl;
mod origins;
mod world;

use std::time::Duration;

use holders::{Block, End, Failure, Link, PAGE_BYTES, Root};
use world::{
    HEAP, LIBC, MAIN_STACK, MAIN_THREAD, OTHER_THREAD, STACK_POINTER, STATICS, THREAD_POINTER, World,
};

fn link(site: u32, bytes: u64) -> Link {
    Link::Sampled { site, bytes }
}

#[test]
fn each_kind_of_place_is_told() {
    for (place, end, may_be_stale) in [
        (STATICS + 0x18, End::Root(Root::Static(STATICS + 0x18)), false),
        (LIBC + 0x18, End::Lost, false),
        (THREAD_POINTER - 0x40, End::Root(Root::ThreadLocal(OTHER_THREAD, 0x40)), false),
        (STACK_POINTER + 0x40, End::Root(Root::Stack(OTHER_THREAD)), true),
        // What the thread has left behind holds nothing.
        (STACK_POINTER - 0x400, End::Lost, false),
        (MAIN_STACK + 0x40, End::Root(Root::Stack(MAIN_THREAD)), true),
        // The profiler's own memory.
        (HEAP + 0x3_0000, End::Lost, false),
    ] {
        let mut world = World::new();
        let target = world.target(1, 100);
        world.set(place, target + 8);
        let chain = world.only();
        assert_eq!(
            (&chain.links[..], chain.end, chain.may_be_stale),
            (&[][..], end, may_be_stale),
            "{place:#x}"
        );
    }
}

#[test]
fn a_chain_leads_over_sampled_blocks_to_the_root() {
    let mut world = World::new();
    let target = world.target(1, 100);
    let table = world.sampled(2, 4096);
    let head = world.sampled(3, 64);
    world.set(table + 0x800, target);
    // Containers are held by a word that points into them, too.
    world.set(head + 8, table + 0x100);
    world.set(STATICS + 8, head);
    let chain = world.only();
    assert_eq!(chain.links, [link(2, 4096), link(3, 64)]);
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
    assert!(!chain.may_be_stale);
}

#[test]
fn cycles_and_lost_blocks_are_told_from_each_other() {
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.target(1, 40)];
    world.set(a, b);
    world.set(b, a);
    let behind = world.target(2, 40);
    world.set(b + 8, behind);
    let lost = world.sampled(3, 40);
    let child = world.target(4, 40);
    world.set(lost, child);
    // A block that points to itself is lost nevertheless.
    let own = world.target(5, 40);
    world.set(own + 8, own);
    let found = world.search();
    let ends: Vec<End> = found.iter().map(|chain| chain.end).collect();
    assert_eq!(ends, [End::Cycle, End::Cycle, End::Cycle, End::Lost, End::Lost]);
    assert_eq!(found[3].links, [link(3, 40)]);
    assert_eq!(found[4].links, []);
}

/// The owner was not sampled: its extent is what the allocator's own words say, from the sampled block below it.
#[test]
fn blocks_that_were_not_sampled_are_climbed() {
    let mut world = World::new();
    world.sample_small();
    let target = world.target(1, 100);
    let others = [world.allocate(40), world.allocate(400)];
    let owner = world.allocate(200);
    world.set(owner + 0x40, target);
    world.set(STATICS, others[0]);
    world.set(others[1] + 8, owner + 0x10);
    world.set(STATICS + 8, others[1]);
    let chain = world.only();
    assert_eq!(chain.links, [Link::Unsampled { bytes: 192 }, Link::Unsampled { bytes: 400 }]);
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
}

#[test]
fn words_in_free_memory_hold_nothing() {
    let mut world = World::new();
    world.sample_small();
    let target = world.target(1, 100);
    let freed = world.allocate(2000);
    let next = world.allocate(40);
    world.set(freed + 0x400, target);
    world.set(STATICS, freed);
    assert_eq!(world.only().links, [Link::Unsampled { bytes: 2000 }]);
    // The chunk after it says that it is free.
    world.set(next - 8, 48);
    assert_eq!((world.only().links, world.only().end), (vec![], End::Lost));
}

/// It pointed to the target when it was found to be free, and points to the target's owner when that is looked for.
#[test]
fn a_word_in_free_memory_that_changes_holds_nothing() {
    let mut world = World::new();
    world.sample_small();
    let target = world.target(1, 100);
    let owner = world.allocate(200);
    let freed = world.allocate(2000);
    let next = world.allocate(40);
    world.set(next - 8, 48);
    world.set(owner + 0x40, target);
    world.set(THREAD_POINTER - 0x40, owner);
    world.set(freed + 0x400, target);
    world.moving.borrow_mut().insert(freed + 0x400, (1, owner));
    let chain = world.only();
    assert_eq!(chain.links, [Link::Unsampled { bytes: 192 }]);
    assert_eq!(chain.end, End::Root(Root::ThreadLocal(OTHER_THREAD, 0x40)));
}

/// Of twenty blocks one also has its address in the spare room of a buffer that a static holds.
#[test]
fn a_word_that_was_left_behind_in_a_buffer_is_not_taken_for_the_owner() {
    let mut world = World::new();
    let targets: Vec<u64> = (0..20).map(|_| world.target(1, 40)).collect();
    let (owner, buffer) = (world.sampled(2, 400), world.sampled(3, 400));
    for (slot, &target) in (0..).zip(&targets) {
        world.set(owner + 8 * slot, target);
    }
    world.set(STACK_POINTER + 8, owner);
    world.set(buffer + 0x100, targets[7]);
    world.set(STATICS, buffer);
    for chain in world.search() {
        assert_eq!(chain.links, [link(2, 400)]);
        assert_eq!(chain.end, End::Root(Root::Stack(OTHER_THREAD)));
    }
}

/// An allocator that writes nothing before its blocks has a record of each, in memory of which nothing is known.
#[test]
fn a_record_of_the_allocator_holds_nothing() {
    const RECORDS: u64 = HEAP + 0x2_0000;
    const PAGES: u64 = HEAP + 0x1000;
    // The 28th class is that of a page, and other bits say other things.
    const OF_A_PAGE: u64 = 0xa_b1c5_4321;
    let record = |world: &World, number: u64, words: [u64; 3]| {
        let at = RECORDS + 128 * number;
        (0..).zip(words).for_each(|(index, word)| world.set(at + 8 * index, word));
    };
    let world_of = |records: u64, bits: u64, length: u64| {
        let mut world = World::new();
        for number in 0..10 {
            let address = PAGES + PAGE_BYTES * number;
            world.blocks.push(Block { address, bytes: PAGE_BYTES, site: 1, target: Some(number as u32) });
            if number < records {
                record(&world, number, [bits, address, length]);
            }
        }
        world
    };
    let ends = |world: &World| world.search().iter().map(|chain| chain.end).collect::<Vec<End>>();
    // The lowest bits of the length are a number of its own.
    let world = world_of(10, OF_A_PAGE, PAGE_BYTES + 7);
    assert_eq!(ends(&world), [End::Lost; 10]);
    // Another word is part of something.
    world.set(RECORDS + 128 * 20, PAGES);
    assert_eq!((ends(&world)[0], ends(&world)[1]), (End::Unsampled, End::Lost));
    // A vector of bytes that has a page has its capacity before its pointer.
    record(&world, 21, [PAGE_BYTES, PAGES + PAGE_BYTES, PAGE_BYTES]);
    assert_eq!((ends(&world)[1], ends(&world)[2]), (End::Unsampled, End::Lost));
    // In a list of pointers the next pointer stands in the place of the length.
    record(&world, 22, [OF_A_PAGE, PAGES + 2 * PAGE_BYTES, 0x7f00_0000_1000]);
    assert_eq!((ends(&world)[2], ends(&world)[3]), (End::Unsampled, End::Lost));
    // A length that does not fit is none, and where most blocks have no record, there are none.
    assert_eq!(ends(&world_of(10, OF_A_PAGE, PAGE_BYTES - 1)), [End::Unsampled; 10]);
    assert_eq!(ends(&world_of(6, OF_A_PAGE, PAGE_BYTES))[..6], [End::Unsampled; 6]);
}

#[test]
fn what_is_not_in_memory_is_not_read() {
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + PAGE_BYTES, target);
    world.swapped.extend([STATICS / PAGE_BYTES + 1, HEAP / PAGE_BYTES + 3]);
    assert_eq!(world.only().end, End::Lost);
}

/// The word moves from a place that is searched late to one that was searched already, so that one pass sees it nowhere.
#[test]
fn a_word_that_moves_does_not_make_a_block_lost() {
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + 8, 0);
    world.moving.borrow_mut().insert(STATICS + 8, (1, target));
    let chain = world.only();
    assert_eq!(chain.end, End::Root(Root::Static(STATICS + 8)));
    // It is there in the passes, and gone when it is looked at again.
    let mut world = World::new();
    let target = world.target(1, 100);
    world.set(STATICS + 8, target);
    world.moving.borrow_mut().insert(STATICS + 8, (1, 0));
    assert_eq!(world.only().end, End::NotJudged);
}

#[test]
fn when_the_time_is_over_nothing_is_said() {
    let mut world = World::new();
    world.target(1, 100);
    assert_eq!(world.search_with(Duration::ZERO), Err(Failure::Time));
}

/// Where a text was, of which many pointers to its parts were left behind, there is a block now. Its owner's word comes after all these.
#[test]
fn words_into_a_block_leave_room_for_that_of_its_owner() {
    let mut world = World::new();
    let [parts, target, owner] = [world.sampled(2, 4096), world.target(1, 2048), world.sampled(3, 40)];
    (0..200).for_each(|slot| world.set(parts + 8 * slot, target + 8 + slot));
    world.set(owner, target);
    world.set(STATICS, owner);
    let chain = world.only();
    assert_eq!(
        (chain.links, chain.end),
        (vec![Link::Sampled { site: 3, bytes: 40 }], End::Root(Root::Static(STATICS)))
    );
}

#[test]
fn a_block_with_very_many_words_is_not_called_a_cycle() {
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.sampled(2, 4096)];
    world.set(a, b);
    (0..200).for_each(|slot| world.set(b + 8 * slot, a));
    assert_eq!(world.only().end, End::NotJudged);
    // Of 64 words and fewer, all are known.
    let mut world = World::new();
    let [a, b] = [world.target(1, 40), world.sampled(2, 4096)];
    world.set(a, b);
    (0..64).for_each(|slot| world.set(b + 8 * slot, a));
    assert_eq!(world.only().end, End::Cycle);
}
