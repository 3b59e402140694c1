//! Which words may have been left behind in memory: what a holder has in common with those of other blocks of the site.
//!
//! Pure: no memory is read here.

use std::collections::HashMap;

use crate::hold::{Hold, Holder, LENGTH_BITS, Node};
use crate::region::Root;

/// A way from a sampled block to one of few that were not sampled. The room of a buffer that is not used may have such a word.
const FEW: u64 = 15 << LENGTH_BITS;
/// So many blocks that have a holder of one site are no coincidence.
const MANY: usize = 4;
/// A way by a holder that hardly any other block of the site has.
const RARE: u64 = 20_000 << LENGTH_BITS;
/// No way goes by this word.
pub(crate) const NEVER: u64 = u64::MAX;
/// Where so many blocks of a site are lost for each one that a word holds, the word was left behind.
const LOST_EACH: usize = 32;

/// What blocks of one site have in common as holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Site(u32),
    Static,
    ThreadLocal,
    Stack,
    Unsampled,
}

fn kind(nodes: &[Node], hold: &Hold) -> Kind {
    match hold.holder {
        Holder::Node(by) => nodes[by as usize].site.map_or(Kind::Unsampled, Kind::Site),
        Holder::Root(Root::Static(_)) => Kind::Static,
        Holder::Root(Root::ThreadLocal(..)) => Kind::ThreadLocal,
        Holder::Root(Root::Stack(_)) | Holder::RunningStack(_) => Kind::Stack,
        Holder::Unsampled => Kind::Unsampled,
    }
}

/// In the group of a block that was not sampled, beside the site of what it holds.
const UNSAMPLED_GROUP: u32 = 1 << 31;
/// Groups are handed on over so many blocks that were not sampled.
const GROUP_HOPS: usize = 3;

/// Returns a group of blocks for each node that are likely to have holders of one kind: those of one site, or those that were not
/// sampled and hold blocks of one site. It is `None` if nothing is known of a node.
fn groups(nodes: &[Node], holds: &[Hold]) -> Vec<Option<u32>> {
    let mut groups: Vec<Option<u32>> = nodes.iter().map(|node| node.site).collect();
    for _ in 0..GROUP_HOPS {
        for hold in holds {
            if let Holder::Node(by) = hold.holder
                && groups[by as usize].is_none()
            {
                groups[by as usize] = groups[hold.node as usize].map(|group| group | UNSAMPLED_GROUP);
            }
        }
    }
    groups
}

/// Returns what each hold costs beyond its length, because it may be a word that was left behind in memory. Such a word holds few
/// blocks of a group, while many have another holder; or all blocks that it holds have another holder, which also holds a quarter
/// as many alone.
pub(crate) fn doubts(nodes: &[Node], holds: &[Hold]) -> Vec<u64> {
    let kinds = Kinds::count(nodes, holds);
    let larger = larger_holders(&kinds.groups, nodes, holds);
    let mut doubts = Vec::with_capacity(holds.len());
    let mut larger = larger.into_iter();
    for of_node in holds.chunk_by(|a, b| a.node == b.node) {
        let group = kinds.groups[of_node[0].node as usize];
        let most_alone = |is_known| {
            let of_kind = of_node.iter().filter(|hold| (kind(nodes, hold) != Kind::Unsampled) == is_known);
            of_kind.map(|hold| kinds.alone(nodes, hold)).max().unwrap_or(0)
        };
        let (most_alone, most_unknown) = (most_alone(true), most_alone(false));
        for (hold, has_larger) in of_node.iter().zip(&mut larger) {
            let Some(group) = group else {
                doubts.push(0);
                continue;
            };
            let kind = kind(nodes, hold);
            let count = kinds.nodes_of.get(&(group, kind)).map_or(0, |&(_, count)| count);
            let most = kinds.most.get(&group).copied().unwrap_or_default();
            // Where blocks of a group hold each other, a variable holds the first of them, and that is no coincidence.
            // mutant: H26 a variable that holds the first of many blocks is as doubtful as a word in a block
            let most = if is_variable(kind) { most.of_strangers } else { most.of_all };
            // mutant: H5 a word that was left behind is as good as all others
            let is_rare = count * 4 < most;
            // mutant: H10 a word in a buffer to a block that was not sampled is as good as all others
            let is_few = group & UNSAMPLED_GROUP != 0 && matches!(kind, Kind::Site(_)) && count < MANY;
            // A few blocks that are held by something else, such as one that moves just now, say nothing of many. But if nobody knows
            // what that is, it may be the owner of all.
            let alone = kinds.alone(nodes, hold);
            let is_idle = alone * 4 < most_unknown || alone * 4 < most_alone && count <= most_alone * 4;
            // mutant: H24 what holds nothing alone is as good a holder as what does
            let is_idle = is_idle && !is_kin(group, kind);
            doubts.push(match (is_rare || is_idle || has_larger, is_few) {
                (true, _) => RARE,
                (false, true) => FEW,
                (false, false) => 0,
            });
        }
    }
    doubts
}

/// Returns which holds are of a few blocks of a group by memory that may have been left behind, while nothing holds many others of it.
/// Nothing is left that tells who holds such a block: the word is no owner for certain, and the block may not be lost.
pub(crate) fn strays(nodes: &[Node], holds: &[Hold], is_lost: impl Fn(usize) -> bool) -> Vec<usize> {
    let kinds = Kinds::count(nodes, holds);
    let mut lost: HashMap<u32, usize> = HashMap::new();
    let lost_groups = kinds.groups.iter().enumerate().filter(|&(node, _)| is_lost(node));
    lost_groups.filter_map(|(_, group)| *group).for_each(|group| *lost.entry(group).or_default() += 1);
    let is_stray = |hold: &Hold| {
        let Some(group) = kinds.groups[hold.node as usize] else { return false };
        let kind = kind(nodes, hold);
        let Some(&(_, count)) = kinds.nodes_of.get(&(group, kind)) else { return false };
        let lost = lost.get(&group).copied().unwrap_or(0);
        let is_rare = count * 4 <= lost && (count < MANY || count * LOST_EACH <= lost);
        matches!(hold.holder, Holder::Node(_)) && is_rare && !is_kin(group, kind)
    };
    holds.iter().enumerate().filter(|(_, hold)| is_stray(hold)).map(|(index, _)| index).collect()
}

fn is_variable(kind: Kind) -> bool {
    matches!(kind, Kind::Static | Kind::ThreadLocal)
}

/// Whether a holder is one of the same group, as a node of a list is for the next one. That says nothing of the owner of all.
fn is_kin(group: u32, kind: Kind) -> bool {
    if group & UNSAMPLED_GROUP != 0 { kind == Kind::Unsampled } else { kind == Kind::Site(group) }
}

/// How many nodes of a group have holders of the most common kind.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    of_all: usize,
    /// It is that of the kinds beside the group's own.
    of_strangers: usize,
}

/// How many nodes of each group have holders of each kind.
struct Kinds {
    groups: Vec<Option<u32>>,
    /// Holds the node that was counted last, and the number.
    nodes_of: HashMap<(u32, Kind), (u32, usize)>,
    most: HashMap<u32, Most>,
    /// How many nodes of a group have holders of this one kind, beside those of their own group.
    alone: HashMap<(u32, Kind), usize>,
}

impl Kinds {
    /// Counts. The holds of one node follow one another.
    fn count(nodes: &[Node], holds: &[Hold]) -> Kinds {
        let mut kinds = Kinds {
            groups: groups(nodes, holds),
            nodes_of: HashMap::new(),
            most: HashMap::new(),
            alone: HashMap::new(),
        };
        for of_node in holds.chunk_by(|a, b| a.node == b.node) {
            let Some(group) = kinds.groups[of_node[0].node as usize] else { continue };
            kinds.count_node(nodes, group, of_node);
        }
        kinds
    }

    fn count_node(&mut self, nodes: &[Node], group: u32, of_node: &[Hold]) {
        for hold in of_node {
            let kind = kind(nodes, hold);
            let (node, count) = self.nodes_of.entry((group, kind)).or_insert((u32::MAX, 0));
            if *node != hold.node {
                (*node, *count) = (hold.node, *count + 1);
                let most = self.most.entry(group).or_default();
                most.of_all = most.of_all.max(*count);
                if !is_kin(group, kind) {
                    most.of_strangers = most.of_strangers.max(*count);
                }
            }
        }
        let mut strangers = of_node.iter().map(|hold| kind(nodes, hold)).filter(|&kind| !is_kin(group, kind));
        if let Some(only) = strangers.next()
            && strangers.all(|kind| kind == only)
            && !nodes[of_node[0].node as usize].is_cut
        {
            *self.alone.entry((group, only)).or_default() += 1;
        }
    }

    /// Returns how many nodes of its group the kind of a hold holds alone.
    fn alone(&self, nodes: &[Node], hold: &Hold) -> usize {
        let group = self.groups[hold.node as usize];
        group.and_then(|group| self.alone.get(&(group, kind(nodes, hold)))).copied().unwrap_or(0)
    }
}

/// Tells of each hold by a block that was not sampled whether another such block holds the same node, and four times as many of
/// its group. Such blocks are of one kind for all that is known, although one is the buffer of the container, and another one has
/// a single word that was left behind.
///
/// A container may have many buffers, of which each holds few, as a map in parts has. So all blocks that one block holds count together,
/// and only what is few with all of them is doubtful.
fn larger_holders(groups: &[Option<u32>], nodes: &[Node], holds: &[Hold]) -> Vec<bool> {
    let unsampled = |hold: &Hold| match hold.holder {
        Holder::Node(by) if nodes[by as usize].site.is_none() => Some((groups[hold.node as usize]?, by)),
        _ => None,
    };
    let mut held = Counts::new();
    let mut together = Counts::new();
    let parents = |of: u32| {
        let first = holds.partition_point(|hold| hold.node < of);
        holds[first..].iter().take_while(move |hold| hold.node == of).filter_map(|hold| match hold.holder {
            Holder::Node(parent) => Some(parent),
            _ => None,
        })
    };
    for hold in holds {
        let Some((group, by)) = unsampled(hold) else { continue };
        count_once(&mut held, (group, by), hold.node);
        parents(by).for_each(|parent| count_once(&mut together, (group, parent), hold.node));
    }
    let count = |hold: &Hold| unsampled(hold).map_or(0, |key| held[&key].1);
    let count_together = |hold: &Hold| {
        let Some((group, by)) = unsampled(hold) else { return 0 };
        // mutant: H35 each buffer of a container counts by itself
        parents(by).map(|parent| together[&(group, parent)].1).fold(count(hold), usize::max)
    };
    let mut larger = Vec::with_capacity(holds.len());
    for of_node in holds.chunk_by(|a, b| a.node == b.node) {
        let most = of_node.iter().map(count).max().unwrap_or(0);
        // mutant: H11 a block that was not sampled is as good a holder as any other
        larger
            .extend(of_node.iter().map(|hold| unsampled(hold).is_some() && count_together(hold) * 4 < most));
    }
    larger
}

/// How many nodes of a group a block holds, beside the node that was counted last.
type Counts = HashMap<(u32, u32), (u32, usize)>;

/// Counts a node once. The holds of one node follow one another.
fn count_once(counts: &mut Counts, key: (u32, u32), node: u32) {
    let (last, count) = counts.entry(key).or_insert((u32::MAX, 0));
    if *last != node {
        (*last, *count) = (node, *count + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::{STATIC, holds, node};
    use crate::graph::{Step, ways};

    /// Nothing points to ten blocks but one word, in a block that was not sampled and that a variable holds: that was left behind. If
    /// four of the blocks are held so, or there are only three others, it is an owner.
    #[test]
    fn where_many_are_lost_a_single_word_holds_nothing() {
        let unsampled = Node { site: None, is_cut: false };
        let found = |blocks: u32, held: u32| {
            let mut nodes = vec![node(7); blocks as usize];
            nodes.push(unsampled);
            let mut list: Vec<_> = (0..held).map(|block| (block, Holder::Node(blocks))).collect();
            list.push((blocks, STATIC));
            ways(&nodes, &holds(&list)).steps.clone()
        };
        let lone = found(10, 1);
        assert_eq!(lone[0], Step::NotJudged);
        assert!(lone[1..10].iter().all(|step| *step == Step::Lost), "{lone:?}");
        let is_held = |step| matches!(step, Step::By { holder: Holder::Node(_), .. });
        assert!(found(20, 4)[..4].iter().all(|step| is_held(*step)));
        assert!(found(200, 4)[..4].iter().all(|step| *step == Step::NotJudged));
        assert!(is_held(found(4, 1)[0]));
    }

    /// Such a word is no better holder than a lost block.
    #[test]
    fn a_word_that_was_left_behind_does_not_hide_what_is_lost() {
        let unsampled = Node { site: None, is_cut: false };
        // Ten lost blocks hold one block each, of another site.
        let mut nodes = vec![node(7); 10];
        nodes.extend(vec![node(8); 10]);
        nodes.push(unsampled);
        let mut list: Vec<_> = (0..10).map(|block| (10 + block, Holder::Node(block))).collect();
        list.extend([(13, Holder::Node(20)), (20, STATIC)]);
        let steps = ways(&nodes, &holds(&list)).steps.clone();
        let is_held = |block: u32| {
            let step = steps[10 + block as usize];
            matches!(step, Step::By { holder, .. } if holder == Holder::Node(block))
        };
        assert!((0..10).all(is_held), "{steps:?}");
    }
}
