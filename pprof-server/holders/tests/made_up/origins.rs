//! Where all ways to a block begin.

use std::collections::BTreeSet;
use std::time::Duration;

use holders::{Failure, Finder, Origin, Reached, Root, Scene};
use tasks::Masked;

use crate::world::{
    HEAP, HEAP_PAGES, LIBC, MAIN_STACK, MAIN_THREAD, OTHER_THREAD, OWN_VARIABLE, STACK_POINTER, STATICS,
    THREAD_POINTER, World,
};

/// Ways end at these blocks, and these threads have run.
#[derive(Default)]
struct Known {
    ends: Vec<u64>,
    ran: Vec<u32>,
    /// Words at these places were left behind.
    left_behind: Vec<u64>,
}

impl Finder for Known {
    fn is_end(&mut self, start: Masked) -> bool {
        self.ends.contains(&start.address())
    }

    fn is_sure(&mut self, end: Masked, place: Masked, target: Masked) -> bool {
        assert!(self.ends.contains(&end.address()) && place.address() > end.address() && target != end);
        !self.left_behind.contains(&place.address())
    }

    fn ran_meanwhile(&mut self) -> Vec<u32> {
        self.ran.clone()
    }
}

impl World {
    fn origins_with(&self, places: &[u64], known: &mut Known) -> Vec<Reached> {
        let places: Vec<Masked> = places.iter().map(|&place| Masked::of(place)).collect();
        let search =
            |scene: Scene<'_>| holders::origins(self, self, scene, self.blocks.clone(), &places, known);
        let found = self.with_scene(Duration::from_secs(100), search).unwrap();
        assert_eq!(self.faults.borrow().len(), 0, "pages that are not in memory were read");
        found.reached
    }

    /// Returns what leads to one place, of which all words are known.
    fn origins(&self, place: u64) -> Vec<Origin> {
        let reached = self.origins_with(&[place], &mut Known::default()).remove(0);
        assert!(reached.is_whole && reached.block.is_some(), "{reached:?}");
        reached.origins.into_iter().collect()
    }
}

#[test]
fn each_kind_of_place_leads_there() {
    for (place, expected) in [
        (STATICS + 0x18, vec![Origin::Root(Root::Static(STATICS + 0x18))]),
        // The allocator's variables lead to nothing that is in use, so a word there is not understood.
        (LIBC + 0x18, vec![Origin::Unknown]),
        (THREAD_POINTER - 0x40, vec![Origin::Root(Root::ThreadLocal(OTHER_THREAD, 0x40))]),
        (STACK_POINTER + 0x40, vec![Origin::Root(Root::Stack(OTHER_THREAD))]),
        (STACK_POINTER - 0x400, vec![]),
        (MAIN_STACK + 0x40, vec![Origin::Root(Root::Stack(MAIN_THREAD))]),
        // The profiler's own memory, and its own variables.
        (HEAP + 0x3_0000, vec![]),
        (OWN_VARIABLE.0 + 8, vec![]),
        // No known block is below, and there is no header.
        (HEAP + 0x2_0000, vec![Origin::Unknown]),
    ] {
        let mut world = World::new();
        let target = world.sampled(1, 100);
        world.set(place, target + 8);
        assert_eq!(world.origins(target), expected, "{place:#x}");
    }
}

/// A thread that has run meanwhile may use what was below its stack pointer.
#[test]
fn what_a_thread_has_left_behind_counts_if_it_has_run() {
    let mut world = World::new();
    let target = world.sampled(1, 100);
    world.set(STACK_POINTER - 0x400, target);
    let mut known = Known { ran: vec![OTHER_THREAD], ..Known::default() };
    let origins = world.origins_with(&[target], &mut known).remove(0).origins;
    assert_eq!(origins, BTreeSet::from([Origin::Root(Root::Stack(OTHER_THREAD))]));
}

#[test]
fn all_ways_are_followed_and_end_where_they_are_told_to() {
    let mut world = World::new();
    world.sample_small();
    let target = world.sampled(1, 100);
    let task = world.sampled(2, 400);
    let unsampled = world.allocate(200);
    let other_task = world.allocate(400);
    let [first, second] = [world.allocate(40), world.sampled(3, 40)];
    world.set(task + 0x40, target);
    world.set(unsampled + 8, target + 0x10);
    world.set(other_task + 0x20, unsampled);
    // Tokio's own lists lead to tasks, and do not matter.
    world.set(STATICS, task);
    world.set(STATICS + 8, other_task);
    let mut known = Known { ends: vec![task, other_task], ..Known::default() };
    let ends = [Origin::End(Masked::of(task)), Origin::End(Masked::of(other_task))];
    let reached = world.origins_with(&[target], &mut known).remove(0);
    assert_eq!(reached.origins, BTreeSet::from(ends));
    assert_eq!((reached.block, reached.start_words), (Some(Masked::of(target)), 1));
    assert!(reached.is_whole);
    assert!(!reached.has_lost);
    // A block that nothing leads to adds no way, but is not passed over. Neither is a cycle.
    world.set(first + 8, target);
    for word in [0, second] {
        world.set(first, word);
        world.set(second, if word == 0 { 0 } else { first });
        let reached = world.origins_with(&[target + 8], &mut known).remove(0);
        assert_eq!((reached.origins.clone(), reached.start_words), (BTreeSet::from(ends), 2));
        assert!(reached.has_lost);
    }
    world.set(STATICS + 0x10, second);
    let reached = world.origins_with(&[target], &mut known).remove(0);
    assert!(!reached.has_lost);
    let root = Origin::Root(Root::Static(STATICS + 0x10));
    assert_eq!(reached.origins, ends.into_iter().chain([root]).collect());
}

#[test]
fn words_in_free_memory_lead_nowhere() {
    let mut world = World::new();
    world.sample_small();
    let target = world.sampled(1, 100);
    let freed = world.allocate(2000);
    let next = world.allocate(40);
    world.set(freed + 0x400, target);
    world.set(STATICS, freed);
    assert_eq!(world.origins(target), [Origin::Root(Root::Static(STATICS))]);
    world.set(next - 8, 48);
    assert_eq!(world.origins(target), []);
    // What was never handed out reaches to the end of the heap.
    let top = world.next;
    world.set(top + 8, (HEAP + HEAP_PAGES * holders::PAGE_BYTES - top) | 1);
    world.set(next - 8, 49);
    world.set(STATICS, 0);
    world.set(top + 0x100, target);
    world.set(STATICS, top + 0x100);
    assert_eq!(world.origins(target), []);
}

/// The list of a thread's free blocks points to blocks that were freed last.
#[test]
fn the_allocator_s_list_of_free_blocks_leads_nowhere() {
    const KEY: u64 = 0x5bd1_e995_7a3c_41f7;
    let mut world = World::new();
    let list = world.allocate(0x280);
    world.sample_small();
    let target = world.sampled(1, 100);
    let cached = world.allocate(100);
    world.set(cached + 16, target);
    world.set(cached + 8, KEY);
    world.set(list, 1 << 16);
    world.set(list + 128 + 8, cached);
    assert_eq!(world.origins(target), []);
    assert!(!world.origins_with(&[target], &mut Known::default())[0].has_lost, "what was freed is not lost");
    // A block of the program's may be as long as that list, and is not told from it for certain.
    world.set(cached + 8, 1);
    assert_eq!(world.origins(target), [Origin::Unknown]);
    world.set(cached + 8, KEY);
    world.set(list + 128 + 16, cached);
    assert_eq!(world.origins(target), [Origin::Unknown]);
}

#[test]
fn a_block_of_which_not_all_words_are_known_is_not_whole() {
    let mut world = World::new();
    let [target, table] = [world.sampled(1, 100), world.sampled(2, 0x1_0000)];
    (0..4096).for_each(|slot| world.set(table + 8 * slot, target));
    let whole = world.origins_with(&[target], &mut Known::default()).remove(0);
    assert!(whole.is_whole && whole.start_words == 4096);
    world.set(table + 8 * 4096, target);
    assert!(!world.origins_with(&[target], &mut Known::default()).remove(0).is_whole);
    // A longer way than the search follows is not whole either.
    let mut world = World::new();
    let target = world.sampled(1, 40);
    let mut last = target;
    for _ in 0..20 {
        let next = world.sampled(1, 40);
        world.set(next, last);
        last = next;
    }
    world.set(STATICS, last);
    assert!(!world.origins_with(&[target], &mut Known::default()).remove(0).is_whole);
}

#[test]
fn a_place_in_no_block_in_use_is_not_searched_for() {
    let mut world = World::new();
    world.sample_small();
    let target = world.allocate(100);
    world.allocate(40);
    let unknown = [HEAP + 0x2_0000, 0, u64::MAX];
    let reached = world.origins_with(&unknown, &mut Known::default());
    assert_eq!(reached, vec![Reached::default(); 3]);
    // A variable needs nothing that leads to it.
    let reached = world.origins_with(&[STATICS + 8], &mut Known::default()).remove(0);
    let root = Origin::Root(Root::Static(STATICS + 8));
    assert_eq!((reached.block, reached.origins), (None, BTreeSet::from([root])));
    // A block that was not sampled is known by the header before it.
    world.set(STATICS, target);
    assert_eq!(world.origins(target + 0x20), [Origin::Root(Root::Static(STATICS))]);
}

#[test]
fn when_the_time_is_over_nothing_is_said() {
    let mut world = World::new();
    let target = world.sampled(1, 100);
    let places = [Masked::of(target)];
    let search = |scene: Scene<'_>| {
        holders::origins(&world, &world, scene, world.blocks.clone(), &places, &mut Known::default())
    };
    assert_eq!(world.with_scene(Duration::ZERO, search), Err(Failure::Time));
}

/// A word was left behind in a block that a variable of the profiler's own holds.
#[test]
fn what_the_profiler_holds_leads_nowhere_and_is_not_lost() {
    let mut world = World::new();
    world.sample_small();
    let target = world.sampled(1, 100);
    let own = world.allocate(200);
    world.set(OWN_VARIABLE.0 + 8, own);
    world.set(own + 16, target);
    let reached = world.origins_with(&[target], &mut Known::default()).remove(0);
    assert!(reached.origins.is_empty() && !reached.has_lost, "{reached:?}");
    // A variable of the program's own holds that block too.
    world.set(STATICS, own);
    assert_eq!(world.origins(target), [Origin::Root(Root::Static(STATICS))]);
}

/// A block at which ways end has a word for a block that somebody else holds in a way that is not seen.
#[test]
fn what_was_left_behind_makes_up_for_nothing() {
    let mut world = World::new();
    let [target, end, hidden] = [world.sampled(1, 100), world.sampled(2, 100), world.sampled(3, 40)];
    world.set(hidden, target);
    world.set(end + 16, hidden);
    world.set(end + 24, target);
    let at_end = BTreeSet::from([Origin::End(Masked::of(end))]);
    let origins = |left_behind: &[u64]| {
        let mut known = Known { ends: vec![end], left_behind: left_behind.to_vec(), ..Known::default() };
        let reached = world.origins_with(&[target], &mut known).remove(0);
        assert_eq!(reached.origins, at_end, "the way begins there all the same");
        (reached.start_words, reached.has_lost)
    };
    assert_eq!(origins(&[]), (2, false));
    assert_eq!(origins(&[end + 16]), (2, true), "nothing holds the other block");
    assert_eq!(origins(&[end + 24]), (1, false));
}
