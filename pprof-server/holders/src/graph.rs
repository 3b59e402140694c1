//! Who holds what, from the roots down: the best way to each node.
//!
//! Pure: no memory is read here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::block::wipe;
use crate::doubt::{NEVER, doubts, strays};
use crate::hold::{Hold, Holder, LENGTH_BITS, Node, WIPED};
use crate::region::Root;

/// A way through a block that was not sampled.
const UNSAMPLED_LINK: u64 = 1 << LENGTH_BITS;
/// A way from the stack of a thread that waits.
const STACK: u64 = 10 << LENGTH_BITS;
/// A way from a stack whose end is not known.
const RUNNING_STACK: u64 = 20 << LENGTH_BITS;
/// A way from a block that was not sampled, whose own holder is not known.
const UNSAMPLED: u64 = 10_000 << LENGTH_BITS;
const NOT_JUDGED: u64 = 1_000_000 << LENGTH_BITS;
pub(crate) const LOST: u64 = 2_000_000 << LENGTH_BITS;

/// From here on a way may be due to a single word that was left behind.
pub(crate) const DOUBTFUL: u64 = STACK;

/// This is the last step of the best way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is held by this word, which is part of this holder.
    By {
        holder: Holder,
        edge: u32,
    },
    /// No word points to it.
    Lost,
    /// Only blocks point to it that it holds itself.
    Cycle,
    NotJudged,
}

/// These are the best ways to all nodes.
#[derive(Debug)]
pub(crate) struct Ways {
    pub(crate) steps: Vec<Step>,
    pub(crate) costs: Vec<u64>,
    /// Tells what each hold costs beyond its length, because it is doubtful.
    pub(crate) doubts: Vec<u64>,
}

impl Drop for Ways {
    fn drop(&mut self) {
        // Memory that is freed keeps what was in it, and the next pass would take that for pointers.
        wipe(&mut self.steps, Step::By { holder: WIPED, edge: 0 });
    }
}

/// Finds the best way to each node.
pub(crate) fn ways(nodes: &[Node], holds: &[Hold]) -> Ways {
    let mut ways = best(nodes, holds, doubts(nodes, holds));
    let is_lost = |node: usize| ways.costs[node] >= LOST;
    let strays = if (0..nodes.len()).any(is_lost) { strays(nodes, holds, is_lost) } else { Vec::new() };
    // mutant: H30 a word that was left behind holds what nothing holds of its kind
    if strays.is_empty() {
        return ways;
    }
    let mut doubts = std::mem::take(&mut ways.doubts);
    drop(ways);
    strays.into_iter().for_each(|hold| doubts[hold] = NEVER);
    best(nodes, holds, doubts)
}

/// Finds the best way to each node, where the words are as doubtful as is said.
fn best(nodes: &[Node], holds: &[Hold], doubts: Vec<u64>) -> Ways {
    let mut held_by: Vec<(u32, u32)> = holds
        .iter()
        .zip(0..)
        .filter_map(|(hold, index)| match hold.holder {
            Holder::Node(by) => Some((by, index)),
            _ => None,
        })
        .collect();
    held_by.sort_unstable();
    let mut search = Search {
        nodes,
        holds,
        doubts: &doubts,
        held_by: &held_by,
        queue: BinaryHeap::new(),
        ways: Ways {
            steps: vec![Step::NotJudged; nodes.len()],
            costs: vec![u64::MAX; nodes.len()],
            doubts: Vec::new(),
        },
    };
    for (hold, doubt) in holds.iter().zip(&doubts) {
        let cost = match hold.holder {
            Holder::Node(_) => continue,
            Holder::Root(Root::Static(_) | Root::ThreadLocal(..)) => 0,
            Holder::Root(Root::Stack(_)) => STACK,
            Holder::RunningStack(_) => RUNNING_STACK,
            Holder::Unsampled => UNSAMPLED,
        };
        search.offer(hold.node, cost + doubt, Step::By { holder: hold.holder, edge: hold.edge });
    }
    search.run();
    search.unreached();
    let mut ways = search.ways;
    ways.doubts = doubts;
    ways
}

struct Search<'a> {
    nodes: &'a [Node],
    holds: &'a [Hold],
    /// Tells what each hold costs beyond its length, because it is doubtful.
    doubts: &'a [u64],
    /// This lists the holder and the index of each hold by a node, ascending.
    held_by: &'a [(u32, u32)],
    queue: BinaryHeap<Reverse<(u64, u32)>>,
    ways: Ways,
}

impl Search<'_> {
    fn offer(&mut self, node: u32, cost: u64, step: Step) {
        let best = &mut self.ways.costs[node as usize];
        if cost < *best {
            *best = cost;
            self.ways.steps[node as usize] = step;
            self.queue.push(Reverse((cost, node)));
        }
    }

    /// Goes on from what was offered (Dijkstra's algorithm).
    fn run(&mut self) {
        while let Some(Reverse((cost, node))) = self.queue.pop() {
            if cost > self.ways.costs[node as usize] {
                continue;
            }
            let first = self.held_by.partition_point(|&(by, _)| by < node);
            let link = if self.nodes[node as usize].site.is_none() { UNSAMPLED_LINK } else { 0 };
            for &(_, index) in self.held_by[first..].iter().take_while(|&&(by, _)| by == node) {
                let hold = self.holds[index as usize];
                let doubt = self.doubts[index as usize];
                let step = Step::By { holder: hold.holder, edge: hold.edge };
                self.offer(hold.node, cost.saturating_add(1 + link).saturating_add(doubt), step);
            }
        }
    }

    /// Nothing is said of a node that has no other holder than a word that may have been left behind.
    fn offer_to_unreached(&mut self, node: u32) {
        if self.ways.costs[node as usize] == u64::MAX {
            self.offer(node, NOT_JUDGED, Step::NotJudged);
        }
    }

    /// Decides about what no root reaches.
    fn unreached(&mut self) {
        let mut has_holder = vec![false; self.nodes.len()];
        self.holds.iter().for_each(|hold| has_holder[hold.node as usize] = true);
        for (node, has_holder) in (0..).zip(has_holder) {
            if self.ways.costs[node as usize] != u64::MAX {
                continue;
            }
            // mutant: H4 a block whose words are not all known is lost
            if self.nodes[node as usize].is_cut {
                self.offer(node, NOT_JUDGED, Step::NotJudged);
            } else if !has_holder {
                self.offer(node, LOST, Step::Lost);
            }
        }
        self.run();
        for (hold, _) in self.holds.iter().zip(self.doubts).filter(|&(_, doubt)| *doubt == NEVER) {
            self.offer_to_unreached(hold.node);
        }
        self.run();
        let mut a_holder = vec![None; self.nodes.len()];
        for hold in self.holds {
            if let Holder::Node(by) = hold.holder {
                a_holder[hold.node as usize] = Some(by);
            }
        }
        for node in 0..self.nodes.len() as u32 {
            if self.ways.costs[node as usize] == u64::MAX {
                let on_cycle = on_cycle(node, &a_holder);
                self.offer(on_cycle, LOST, Step::Cycle);
                self.run();
            }
        }
    }
}

/// Goes up from a node that no root reaches until it comes back: every such node has a holder that no root reaches.
fn on_cycle(node: u32, a_holder: &[Option<u32>]) -> u32 {
    let up = |node: u32| a_holder[node as usize].unwrap_or(node);
    // One goes up twice as fast as the other, so they meet on the cycle.
    let (mut slow, mut fast) = (up(node), up(up(node)));
    while slow != fast {
        (slow, fast) = (up(slow), up(up(fast)));
    }
    slow
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn node(site: u32) -> Node {
        Node { site: Some(site), is_cut: false }
    }

    pub(crate) fn holds(list: &[(u32, Holder)]) -> Vec<Hold> {
        let mut list = list.to_vec();
        list.sort_by_key(|&(node, _)| node);
        list.iter().zip(0..).map(|(&(node, holder), edge)| Hold { node, holder, edge }).collect()
    }

    pub(crate) const STATIC: Holder = Holder::Root(Root::Static(0x10));
    const ON_STACK: Holder = Holder::Root(Root::Stack(1));

    fn holders(nodes: &[Node], list: &[(u32, Holder)]) -> Vec<Option<Holder>> {
        let steps = ways(nodes, &holds(list)).steps.clone();
        let holder = |step| match step {
            Step::By { holder, .. } => Some(holder),
            _ => None,
        };
        steps.into_iter().map(holder).collect()
    }

    #[test]
    fn a_static_is_better_than_a_stack_and_a_stack_than_what_is_unknown() {
        let nodes = [node(0), node(1), node(2)];
        let found = holders(
            &nodes,
            &[(0, STATIC), (1, ON_STACK), (1, Holder::Node(0)), (2, ON_STACK), (2, Holder::Unsampled)],
        );
        assert_eq!(found, [Some(STATIC), Some(Holder::Node(0)), Some(ON_STACK)]);
    }

    #[test]
    fn what_only_holds_itself_is_a_cycle_and_what_nothing_points_to_is_lost() {
        let nodes = [node(0), node(0), node(1), node(2), node(3)];
        let list = [(0, Holder::Node(1)), (1, Holder::Node(0)), (2, Holder::Node(0)), (4, Holder::Node(3))];
        let found = ways(&nodes, &holds(&list));
        assert_eq!(found.steps.iter().filter(|step| **step == Step::Cycle).count(), 1);
        assert!(found.steps[..2].contains(&Step::Cycle));
        assert!(matches!(found.steps[2], Step::By { holder: Holder::Node(0), .. }));
        assert_eq!(found.steps[3], Step::Lost);
        assert!(matches!(found.steps[4], Step::By { holder: Holder::Node(3), .. }));
    }

    #[test]
    fn a_cycle_that_a_root_reaches_is_none() {
        let nodes = [node(0), node(0)];
        let found = holders(&nodes, &[(0, Holder::Node(1)), (1, Holder::Node(0)), (1, STATIC)]);
        assert_eq!(found, [Some(Holder::Node(1)), Some(STATIC)]);
    }

    #[test]
    fn nothing_is_lost_of_which_not_all_words_are_known() {
        let nodes = [Node { is_cut: true, ..node(0) }, node(1)];
        let found = ways(&nodes, &holds(&[(1, Holder::Node(0))]));
        assert_eq!(found.steps[0], Step::NotJudged);
        assert!(matches!(found.steps[1], Step::By { holder: Holder::Node(0), .. }));
    }

    /// One of ten blocks has a word in a container that holds none of the others.
    #[test]
    fn a_word_that_was_left_behind_is_the_last_choice() {
        let mut nodes = vec![node(7); 10];
        nodes.extend([node(8), node(9)]);
        let mut list: Vec<(u32, Holder)> = (0..10).map(|block| (block, Holder::Node(10))).collect();
        list.extend([(3, Holder::Node(11)), (10, ON_STACK), (11, STATIC)]);
        let found = holders(&nodes, &list);
        assert!(found[..10].iter().all(|holder| *holder == Some(Holder::Node(10))), "{found:?}");
        // No holder has any of them alone, since other memory has the addresses of all.
        list.extend((0..10).map(|block| (block, Holder::Unsampled)));
        let found = holders(&nodes, &list);
        assert!(found[..10].iter().all(|holder| *holder == Some(Holder::Node(10))), "{found:?}");
    }

    /// A block has the addresses of most targets. Memory of which nothing is known has those of all, and so may be that of their owner.
    #[test]
    fn what_is_not_known_may_hold_what_a_known_block_has_not() {
        let mut nodes = vec![node(7); 10];
        nodes.push(node(8));
        let mut list: Vec<_> = (0..10).map(|block| (block, Holder::Unsampled)).collect();
        list.extend((0..9).map(|block| (block, Holder::Node(10))));
        list.push((10, STATIC));
        assert_eq!(holders(&nodes, &list)[..10], [Some(Holder::Unsampled); 10]);
    }

    /// One line makes a map of many tables, and what has all of them: a variable holds that alone. Four of the tables, and one block in
    /// each, also have their addresses in what another variable holds.
    #[test]
    fn a_variable_that_holds_the_first_of_many_blocks_is_not_doubtful() {
        let (map, other) = (0, 17);
        // The map is followed by eight tables, and each table by a block that it holds.
        let mut nodes = vec![node(7); 9];
        nodes.extend(vec![node(8); 8]);
        nodes.push(node(9));
        let mut list = vec![(map, STATIC), (other, Holder::Root(Root::Static(0x20)))];
        list.extend((1..9).flat_map(|table| [(table, Holder::Node(map)), (table + 8, Holder::Node(table))]));
        list.extend(
            (1..5).flat_map(|table| [(table, Holder::Node(other)), (table + 8, Holder::Node(other))]),
        );
        let found = holders(&nodes, &list);
        assert_eq!(found[1..9], [Some(Holder::Node(map)); 8]);
        assert_eq!(found[9..17], [1, 2, 3, 4, 5, 6, 7, 8].map(|table| Some(Holder::Node(table))));
    }

    /// The buffer of a container was not sampled and holds ten blocks. Another block that was not sampled has one word of them.
    #[test]
    fn of_blocks_that_were_not_sampled_the_one_that_holds_many_is_the_holder() {
        let unsampled = Node { site: None, is_cut: false };
        let mut nodes = vec![node(7); 10];
        let (leftover, buffer) = (10, 11);
        nodes.extend([unsampled, unsampled]);
        let mut list: Vec<(u32, Holder)> = (0..10).map(|block| (block, Holder::Node(buffer))).collect();
        list.extend([(3, Holder::Node(leftover)), (leftover, STATIC), (buffer, STATIC)]);
        let found = holders(&nodes, &list);
        assert!(found[..10].iter().all(|holder| *holder == Some(Holder::Node(buffer))), "{found:?}");
    }

    /// A buffer has room that is not used, and words there were left behind. One of them points to a block that was not sampled.
    #[test]
    fn a_word_in_a_buffer_to_a_block_that_was_not_sampled_is_doubtful() {
        let unsampled = Node { site: None, is_cut: false };
        let buffer = 8;
        let chain = |blocks: u32| -> Vec<u64> {
            // Each target is held by a block of its own that was not sampled, and that by the buffer, which a static holds.
            let mut nodes = vec![node(7); blocks as usize];
            nodes.extend(vec![unsampled; blocks as usize]);
            nodes.push(node(buffer));
            let mut list: Vec<_> = (0..blocks).map(|block| (block, Holder::Node(blocks + block))).collect();
            list.extend((blocks..2 * blocks).map(|block| (block, Holder::Node(2 * blocks))));
            list.push((2 * blocks, STATIC));
            ways(&nodes, &holds(&list)).costs[..blocks as usize].to_vec()
        };
        assert!(chain(1).iter().all(|cost| (DOUBTFUL..UNSAMPLED).contains(cost)), "{:?}", chain(1));
        assert!(chain(4).iter().all(|cost| *cost < DOUBTFUL), "{:?}", chain(4));
    }

    /// Ten blocks in a list that were not sampled hold one another and the targets. A word was left behind that points to one of
    /// them.
    #[test]
    fn one_of_many_blocks_that_were_not_sampled_says_nothing_for_all() {
        let unsampled = Node { site: None, is_cut: false };
        let mut nodes = vec![node(7); 10];
        nodes.extend(vec![unsampled; 10]);
        nodes.push(node(8));
        let mut list: Vec<_> = (0..10).map(|block| (block, Holder::Node(10 + block))).collect();
        list.extend((10..20).map(|block| (block, Holder::Unsampled)));
        list.extend([(13, Holder::Node(20)), (20, STATIC)]);
        let found = ways(&nodes, &holds(&list));
        let ends = (10..20).map(|block| found.steps[block]);
        assert!(
            ends.clone().all(|step| matches!(step, Step::By { holder: Holder::Unsampled, .. })),
            "{:?}",
            ends.collect::<Vec<_>>()
        );
    }
}
