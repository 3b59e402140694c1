//! Where ways to one block part: two holders that lead to different variables, of which one may be a word that was left behind.
//!
//! Pure: no memory is read here.

use std::collections::HashMap;

use crate::graph::{LOST, Step, Ways};
use crate::hold::{Hold, Holder, Node};
use crate::region::Root;

/// So many other variables are told of a block.
const MAX_FORKS: usize = 4;

/// Another variable that leads to a block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// It leads to the block behind the first so many links of the chain, or to the target itself if that is 0.
    pub links: usize,
    /// The other way begins here.
    pub root: Root,
}

/// Tells of each node which other variables lead to it by ways that are as good as the best one.
pub(crate) struct Forks<'a> {
    ways: &'a Ways,
    nodes: &'a [Node],
    holds: &'a [Hold],
    /// Holds the root at which the best way to each node begins. It is `None` where no way begins at a root.
    begins: Vec<Option<Root>>,
    /// The other variables that lead to a node, or to what holds it on its best way.
    others: HashMap<u32, Vec<Root>>,
}

impl Forks<'_> {
    /// Finds where the ways to all nodes begin. The holds of one node follow one another.
    pub(crate) fn of<'a>(ways: &'a Ways, nodes: &'a [Node], holds: &'a [Hold]) -> Forks<'a> {
        let mut cheapest_first: Vec<u32> = (0..ways.steps.len() as u32).collect();
        cheapest_first.sort_unstable_by_key(|&node| ways.costs[node as usize]);
        let begins = vec![None; ways.steps.len()];
        let mut forks = Forks { ways, nodes, holds, begins, others: HashMap::new() };
        // A way to a holder is cheaper than the way that goes on from it.
        for &node in &cheapest_first {
            if let Step::By { holder, .. } = ways.steps[node as usize] {
                forks.begins[node as usize] = forks.begin(holder);
            }
        }
        for node in cheapest_first {
            let mut roots = forks.parting(node);
            if let Step::By { holder: Holder::Node(by), .. } = ways.steps[node as usize] {
                add(&mut roots, forks.others.get(&by).into_iter().flatten().copied());
            }
            if !roots.is_empty() {
                forks.others.insert(node, roots);
            }
        }
        forks
    }

    /// Adds the variables that lead to `node`, which is that many links away from the target, and not to what holds it.
    pub(crate) fn add(&self, node: u32, links: usize, forks: &mut Vec<Fork>) {
        let begin = self.begins[node as usize];
        for root in self.parting(node) {
            if Some(root) != begin && forks.len() < MAX_FORKS && forks.iter().all(|fork| fork.root != root) {
                forks.push(Fork { links, root });
            }
        }
    }

    /// Returns the variables to which the holders of a node lead, beside the one that is on its best way.
    fn parting(&self, node: u32) -> Vec<Root> {
        let mut roots = Vec::new();
        let Step::By { holder: best, edge } = self.ways.steps[node as usize] else { return roots };
        let Some(begin @ (Root::Static(_) | Root::ThreadLocal(..))) = self.begins[node as usize] else {
            return roots;
        };
        let first = self.holds.partition_point(|hold| hold.node < node);
        let of_node = self.holds[first..].iter().take_while(|hold| hold.node == node);
        let of_node = of_node.zip(&self.ways.doubts[first..]);
        let best_doubt = of_node.clone().find(|(hold, _)| hold.edge == edge).map_or(0, |(_, doubt)| *doubt);
        for (hold, doubt) in of_node {
            // Memory of variables is not used for others, so both hold it.
            let are_variables = matches!((best, hold.holder), (Holder::Root(_), Holder::Root(_)));
            // mutant: H25 of two holders that lead to different variables the nearer one is the owner
            if are_variables || hold.holder == best || *doubt > best_doubt || !self.counts(hold) {
                continue;
            }
            let more = match hold.holder {
                Holder::Node(by) => self.others.get(&by).map_or(&[][..], Vec::as_slice),
                _ => &[],
            };
            add(
                &mut roots,
                self.begin(hold.holder).into_iter().chain(more.iter().copied()).filter(|&root| root != begin),
            );
        }
        roots
    }

    /// Whether a word is one that makes another owner uncertain. Words that were left behind on stacks are common, and count only if
    /// they lead there by a block.
    fn counts(&self, hold: &Hold) -> bool {
        match hold.holder {
            Holder::Node(by) => {
                let is_on_stack = matches!(self.begins[by as usize], Some(Root::Stack(_)));
                let is_kin = self.nodes[by as usize].site == self.nodes[hold.node as usize].site;
                self.ways.costs[by as usize] < LOST && !(is_on_stack && is_kin)
            }
            Holder::Root(root) => !matches!(root, Root::Stack(_)),
            Holder::RunningStack(_) | Holder::Unsampled => false,
        }
    }

    fn begin(&self, holder: Holder) -> Option<Root> {
        match holder {
            Holder::Node(by) => self.begins[by as usize],
            Holder::Root(root) => Some(root),
            Holder::RunningStack(thread) => Some(Root::Stack(thread)),
            Holder::Unsampled => None,
        }
    }
}

fn add(roots: &mut Vec<Root>, more: impl Iterator<Item = Root>) {
    for root in more {
        if roots.len() < MAX_FORKS && !roots.contains(&root) {
            roots.push(root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ways;

    const ONE: Root = Root::Static(0x10);
    const OTHER: Root = Root::Static(0x20);

    fn forks(sites: &[u32], list: &[(u32, Holder)], node: u32) -> (Vec<Fork>, Step) {
        let nodes: Vec<Node> = sites.iter().map(|&site| Node { site: Some(site), is_cut: false }).collect();
        let mut list = list.to_vec();
        list.sort_by_key(|&(node, _)| node);
        let holds: Vec<Hold> =
            list.iter().zip(0..).map(|(&(node, holder), edge)| Hold { node, holder, edge }).collect();
        let ways = ways(&nodes, &holds);
        let mut forks = Vec::new();
        Forks::of(&ways, &nodes, &holds).add(node, 7, &mut forks);
        (forks, ways.steps[node as usize])
    }

    /// Both blocks hold all targets. Nothing tells which of them only has what another container left behind.
    #[test]
    fn of_two_holders_that_lead_to_different_variables_both_are_told() {
        let mut list: Vec<(u32, Holder)> =
            (0..4).flat_map(|node| [(node, Holder::Node(4)), (node, Holder::Node(5))]).collect();
        list.extend([(4, Holder::Root(ONE)), (5, Holder::Node(6)), (6, Holder::Root(OTHER))]);
        let (found, best) = forks(&[1, 1, 1, 1, 2, 3, 4], &list, 2);
        assert_eq!(found, [Fork { links: 7, root: OTHER }]);
        assert!(matches!(best, Step::By { holder: Holder::Node(4), .. }));
        // What both lead to is certain.
        list.push((6, Holder::Root(ONE)));
        list.retain(|hold| *hold != (6, Holder::Root(OTHER)));
        assert_eq!(forks(&[1, 1, 1, 1, 2, 3, 4], &list, 2).0, []);
    }

    /// One block holds a target alone, so it is a holder, and that explains the words to all others.
    #[test]
    fn a_holder_that_holds_more_leaves_no_doubt() {
        let mut list: Vec<(u32, Holder)> = (0..4).map(|node| (node, Holder::Node(5))).collect();
        list.extend((0..3).map(|node| (node, Holder::Node(4))));
        list.extend([(4, Holder::Root(ONE)), (5, Holder::Node(6)), (6, Holder::Root(OTHER))]);
        let (found, best) = forks(&[1, 1, 1, 1, 2, 3, 4], &list, 2);
        assert_eq!(found, []);
        assert!(matches!(best, Step::By { holder: Holder::Node(5), .. }));
    }

    /// A map in eight parts has a table for each, and one of them holds a single target. Elsewhere a block has words to six targets that were
    /// left behind. It holds more than that table, and is not its owner for certain.
    #[test]
    fn the_tables_of_one_map_count_together() {
        let (targets, tables, map, stale, other) = (0..20, 20..28, 28, 29, 30);
        let table_of = |target| if target == 0 { 20 } else { 21 + target % 7 };
        let mut list: Vec<_> = targets.map(|target| (target, Holder::Node(table_of(target)))).collect();
        list.extend((0..6).map(|target| (target, Holder::Node(stale))));
        list.extend(tables.map(|table| (table, Holder::Node(map))));
        list.extend([(map, Holder::Root(ONE)), (stale, Holder::Node(other)), (other, Holder::Root(OTHER))]);
        list.sort_by_key(|&(node, _)| node);
        let of_target = |node| Node { site: (node < 20).then_some(1), is_cut: false };
        let nodes: Vec<Node> = (0..31).map(of_target).collect();
        let holds: Vec<Hold> =
            list.iter().zip(0..).map(|(&(node, holder), edge)| Hold { node, holder, edge }).collect();
        let ways = ways(&nodes, &holds);
        let mut found = Vec::new();
        let forks = Forks::of(&ways, &nodes, &holds);
        forks.add(0, 0, &mut found);
        let begins_rightly = forks.begins[0] == Some(ONE);
        assert!(begins_rightly || found == [Fork { links: 0, root: ONE }], "{found:?}");
        assert!(!begins_rightly || found == [Fork { links: 0, root: OTHER }], "{found:?}");
    }

    /// The stale way is the nearer one for what holds the target and for the target, too. So the best way of both begins there.
    #[test]
    fn what_is_uncertain_of_another_holder_is_uncertain_of_the_block() {
        let list = [
            (0, Holder::Node(1)),
            (0, Holder::Node(2)),
            (1, Holder::Root(ONE)),
            (2, Holder::Node(1)),
            (2, Holder::Node(3)),
            (3, Holder::Root(OTHER)),
        ];
        assert_eq!(forks(&[1, 2, 3, 4], &list, 0).0, [Fork { links: 7, root: OTHER }]);
    }

    #[test]
    fn words_on_stacks_leave_no_doubt_unless_a_block_leads_there() {
        let on_stack = Holder::Root(Root::Stack(1));
        let mut list =
            vec![(0, Holder::Root(ONE)), (0, on_stack), (0, Holder::RunningStack(2)), (0, Holder::Unsampled)];
        assert_eq!(forks(&[1, 2], &list, 0).0, []);
        list.extend([(0, Holder::Node(1)), (1, on_stack)]);
        assert_eq!(forks(&[1, 2], &list, 0).0, [Fork { links: 7, root: Root::Stack(1) }]);
        // A list that has a word on a stack is still that of the variable.
        assert_eq!(forks(&[1, 1], &list, 0).0, []);
    }
}
