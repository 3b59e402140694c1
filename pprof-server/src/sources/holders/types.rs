//! What the program's types say of chains: the fields of the variable at the root, and what the blocks on the way are.
//!
//! The index is that by which tasks are read. Without debug information of the program's package there are no types.
//!
//! Path: *read path*. Cost: that of the index, if it is not kept, and some µs for each word of a chain, up to half a second.

use super::surroundings::Surroundings;
use crate::mappings::Mappings;
use crate::sources::goroutine::tasks::IndexInUse;
use alloc_profiler::internal::cpu_time;
use holders::{Chain, End, Root};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tasks::{Memory, TypeIndex, Typed};

/// So much processor time types may take, once there is an index.
const TIME_BUDGET: Duration = Duration::from_millis(500);
/// So long that may take on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(4);

/// What is known of one chain.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainTypes {
    /// The fields that lead from the variable to the word; `None` if types do not tell.
    pub(super) fields: Option<String>,
    /// What each link is, in the order of the chain's.
    pub(super) links: Vec<Option<Arc<str>>>,
    /// This is what the target is.
    pub(super) target: Option<Arc<str>>,
}

/// What is known of all chains, by their targets.
#[derive(Default)]
pub(super) struct Types {
    by_target: BTreeMap<u32, ChainTypes>,
    /// A name that is in many chains is kept once.
    names: HashSet<Arc<str>>,
}

impl Types {
    /// Finds what types say of `chains`.
    pub(super) fn of(
        chains: &[Chain],
        surroundings: &Surroundings,
        mappings: &Mappings,
        memory: &dyn Memory,
    ) -> Types {
        let mut types = Types::default();
        let mut images: Vec<u64> = chains
            .iter()
            .filter_map(|chain| match chain.end {
                End::Root(Root::Static(address)) => Some(surroundings.image(mappings, address)?.start),
                End::Root(Root::ThreadLocal(..)) => mappings.as_slice().first().map(|program| program.start),
                _ => None,
            })
            .collect();
        images.sort_unstable();
        images.dedup();
        if images.is_empty() {
            return types;
        }
        // Without types, everything has the names that it has without them.
        let Ok(mut used) = IndexInUse::take(&images, mappings) else { return types };
        let (start, started) = (Instant::now(), cpu_time());
        for chain in chains {
            if cpu_time().saturating_sub(started) > TIME_BUDGET || start.elapsed() > LONGEST {
                break;
            }
            if let Some(root) = root(&mut used.index, chain, surroundings, mappings) {
                let found = types.of_chain(&mut used.index, memory, chain, root);
                types.by_target.insert(chain.target, found);
            }
        }
        used.put_back();
        types
    }

    /// Returns what is known of the chain of a target.
    pub(super) fn of_target(&self, target: u32) -> Option<&ChainTypes> {
        self.by_target.get(&target)
    }

    /// Follows the chain from its root on, as far as types tell.
    fn of_chain(
        &mut self,
        index: &mut TypeIndex,
        memory: &dyn Memory,
        chain: &Chain,
        root: Typed,
    ) -> ChainTypes {
        let mut found = ChainTypes { links: vec![None; chain.links.len()], ..ChainTypes::default() };
        let mut typed = root;
        for (number, word) in chain.way.iter().enumerate().rev() {
            let Some(word) = index.word(memory, typed, word.place.address(), word.target.address()) else {
                break;
            };
            if number + 1 == chain.way.len() {
                found.fields = Some(word.fields);
            }
            let Some(target) = word.target else { break };
            let name = Some(self.interned(&index.type_name(target)));
            // The first word points to the target, and each other one to the link before it.
            match number.checked_sub(1) {
                Some(link) => found.links[link] = name,
                None => found.target = name,
            }
            typed = target;
        }
        found
    }

    fn interned(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

/// Returns the variable that a chain begins with.
fn root(
    index: &mut TypeIndex,
    chain: &Chain,
    surroundings: &Surroundings,
    mappings: &Mappings,
) -> Option<Typed> {
    match chain.end {
        End::Root(Root::Static(address)) => index.static_at(address),
        End::Root(Root::ThreadLocal(_, below)) => {
            let program = mappings.as_slice().first().filter(|mapping| mapping.is_main)?;
            let place = surroundings.thread_local_bytes.checked_sub(below)?;
            index.thread_local_at(program.load_bias, place, chain.way.last()?.place.address())
        }
        _ => None,
    }
}
