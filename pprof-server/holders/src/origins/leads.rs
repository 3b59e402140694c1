//! Which words lead to which blocks, and where the ways along them begin.

use std::collections::BTreeSet;

use super::search::{Holder, MAX_WORDS_EACH, Search, Word};
use super::{Finder, Origin, Reached};
use crate::region::Root;

/// Which words lead to which nodes.
///
/// A word that a task has left behind leads there, so that the task may be thought to wake others. It is no proof that the pointer which
/// somebody else has to the same block is one of those that were found.
pub(super) struct Leads<'s> {
    /// The words in the order of their nodes, without those that hold nothing; and whether each is surely a pointer, as far as that is known.
    words: Vec<(&'s Word, bool)>,
}

impl<'s> Leads<'s> {
    pub(super) fn of(search: &'s Search<'_>, finder: &mut dyn Finder) -> Leads<'s> {
        let ran: BTreeSet<u32> = finder.ran_meanwhile().into_iter().collect();
        let holds = |word: &&Word| match word.holder {
            Holder::Nothing => false,
            // mutant: H22 what a thread has left behind is never in use
            Holder::BelowStack(thread) => ran.contains(&thread),
            _ => true,
        };
        let mut is_sure = |word: &Word| match word.holder {
            Holder::Node(by) if search.nodes[by as usize].is_end => {
                let [end, target] = [by, word.node].map(|node| search.nodes[node as usize].start);
                // mutant: E83 what a task has left behind makes up for what is masked
                finder.is_sure(end, word.place, target)
            }
            _ => true,
        };
        let mut words: Vec<(&Word, bool)> =
            search.words.iter().filter(holds).map(|word| (word, is_sure(word))).collect();
        words.sort_by_key(|(word, _)| word.node);
        Leads { words }
    }

    /// Follows all ways to a node back to where they begin.
    pub(super) fn to(&self, search: &Search<'_>, sought: u32) -> Reached {
        let start = search.nodes[sought as usize].start;
        let mut reached = Reached { block: Some(start), is_whole: !search.is_full, ..Reached::default() };
        let mut seen = BTreeSet::from([sought]);
        let mut next = vec![sought];
        // Blocks with those that they point to, and blocks at which a way begins.
        let (mut points_to, mut begun): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
        while let Some(number) = next.pop() {
            let node = &search.nodes[number as usize];
            if node.is_end {
                reached.origins.insert(Origin::End(node.start));
                begun.push(number);
                continue;
            }
            // mutant: H23 a block whose words are not all known is
            reached.is_whole &= node.is_searched && node.words <= MAX_WORDS_EACH;
            let first = self.words.partition_point(|(word, _)| word.node < number);
            for (word, is_sure) in self.words[first..].iter().take_while(|(word, _)| word.node == number) {
                reached.start_words += u32::from(number == sought && word.is_start && *is_sure);
                let origin = match word.holder {
                    Holder::Node(by) => {
                        if !is_sure {
                            reached.origins.insert(Origin::End(search.nodes[by as usize].start));
                            continue;
                        }
                        points_to.push((by, number));
                        if seen.insert(by) {
                            next.push(by);
                        }
                        continue;
                    }
                    Holder::Own => {
                        begun.push(number);
                        continue;
                    }
                    Holder::Root(root) => Origin::Root(root),
                    Holder::BelowStack(thread) => Origin::Root(Root::Stack(thread)),
                    Holder::Unknown | Holder::NotNamed | Holder::Nothing => Origin::Unknown,
                };
                reached.origins.insert(origin);
                begun.push(number);
            }
        }
        reached.has_lost = has_lost(seen, points_to, begun, sought);
        reached
    }
}

/// Whether there is a block among `seen`, other than the sought one, to which no way leads from where ways begin.
fn has_lost(
    mut seen: BTreeSet<u32>,
    mut points_to: Vec<(u32, u32)>,
    mut begun: Vec<u32>,
    sought: u32,
) -> bool {
    points_to.sort_unstable();
    while let Some(number) = begun.pop() {
        if seen.remove(&number) {
            let first = points_to.partition_point(|&(by, _)| by < number);
            let next = points_to[first..].iter().take_while(|(by, _)| *by == number);
            begun.extend(next.map(|&(_, to)| to));
        }
    }
    seen.remove(&sought);
    !seen.is_empty()
}
