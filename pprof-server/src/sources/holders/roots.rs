//! The names of what begins a chain: static variables, variables of threads, stacks.
//!
//! Path: *read path*.

use super::surroundings::Surroundings;
use crate::mappings::Mappings;
use crate::symbols::SymbolKind;
use crate::symbols::variables::{self, Variable};
use holders::{Chain, End, Root};
use std::collections::{BTreeMap, BTreeSet};

/// Names roots.
pub(in crate::sources) struct RootNames {
    names: BTreeMap<Root, String>,
    /// How far behind the beginning of its variable a root is, where the variable has a name.
    offsets: BTreeMap<Root, u64>,
}

/// Several variables lead to a block, and it is uncertain which of them hold it.
pub(super) struct Several {
    /// This stands at the root of the chain.
    pub(super) text: String,
    /// All of them lead to the first so many links of the chain.
    pub(super) links: usize,
}

impl RootNames {
    /// Finds the names of all `roots`.
    ///
    /// Cost: it takes some 20 ns for each symbol of the files that have them.
    pub(in crate::sources) fn of(
        roots: &BTreeSet<Root>,
        surroundings: &Surroundings,
        mappings: &Mappings,
    ) -> RootNames {
        let mut names = BTreeMap::new();
        let mut statics: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        let mut locals: BTreeMap<u64, Vec<Root>> = BTreeMap::new();
        for &root in roots {
            match root {
                Root::Static(address) => {
                    let image = surroundings.image(mappings, address);
                    let index = image.and_then(|image| {
                        mappings.as_slice().iter().position(|other| std::ptr::eq(other, image))
                    });
                    match index {
                        Some(index) => statics.entry(index).or_default().push(address),
                        None => drop(names.insert(root, "a static variable".to_owned())),
                    }
                }
                Root::ThreadLocal(_, below) => {
                    locals
                        .entry(surroundings.thread_local_bytes.saturating_sub(below))
                        .or_default()
                        .push(root);
                }
                Root::Stack(thread) => {
                    names.insert(root, format!("stack of thread {}", surroundings.thread_name(thread)));
                }
            }
        }
        let mut found = RootNames { names, offsets: BTreeMap::new() };
        found.name_statics(&statics, mappings);
        found.name_locals(&locals, surroundings, mappings);
        found
    }

    fn name_statics(&mut self, statics: &BTreeMap<usize, Vec<u64>>, mappings: &Mappings) {
        for (&index, addresses) in statics {
            let image = &mappings.as_slice()[index];
            let in_file: Vec<u64> = addresses.iter().map(|&address| image.elf_address(address)).collect();
            let named = variables::at(image, SymbolKind::Static, &in_file);
            for ((&address, in_file), variable) in addresses.iter().zip(in_file).zip(named) {
                let root = Root::Static(address);
                let text = match variable {
                    Some(Variable { name, start }) => {
                        self.offsets.insert(root, in_file.saturating_sub(start));
                        format!("static {name}")
                    }
                    None => format!("static {}+{in_file:#x}", image.file_name()),
                };
                self.names.insert(root, text);
            }
        }
    }

    fn name_locals(
        &mut self,
        locals: &BTreeMap<u64, Vec<Root>>,
        surroundings: &Surroundings,
        mappings: &Mappings,
    ) {
        let program = mappings.as_slice().first().filter(|mapping| mapping.is_main);
        let offsets: Vec<u64> = locals.keys().copied().collect();
        let named = program.map(|program| variables::at(program, SymbolKind::ThreadLocal, &offsets));
        for (index, (offset, roots)) in locals.iter().enumerate() {
            let variable = named.as_ref().and_then(|variables| variables[index].as_ref());
            for &root in roots {
                let Root::ThreadLocal(thread, below) = root else { continue };
                let text = match variable {
                    Some(Variable { name, start }) if below > 0 => {
                        self.offsets.insert(root, offset.saturating_sub(*start));
                        format!("thread-local {name}")
                    }
                    _ => format!("thread-local variable of thread {}", surroundings.thread_name(thread)),
                };
                self.names.insert(root, text);
            }
        }
    }

    /// Returns the name of a root.
    pub(in crate::sources) fn root(&self, root: Root) -> &str {
        self.names.get(&root).map_or("a variable", String::as_str)
    }

    /// Returns what stands at the root of a chain if another variable leads to it as well as the one where it begins.
    pub(super) fn several(&self, chain: &Chain) -> Option<Several> {
        let End::Root(root) = chain.end else { return None };
        let begin = self.root(root);
        let others = || chain.forks.iter().filter(|fork| self.root(fork.root) != begin);
        // mutant: H27 it is one of the variables that lead to a block that is told
        let links = others().map(|fork| fork.links).min()?;
        let names: BTreeSet<&str> = others().map(|fork| self.root(fork.root)).chain([begin]).collect();
        let names: Vec<&str> = names.into_iter().collect();
        Some(Several { text: format!("[one of: {}]", names.join(", ")), links })
    }

    /// Returns what stands at the root of a chain. `fields` lead from the variable to the word, if types tell.
    pub(super) fn end(&self, end: End, fields: Option<&str>) -> String {
        let text = match (end, fields) {
            (End::Root(root), None) => match self.offsets.get(&root).copied() {
                Some(offset @ 1..) => return format!("{}+{offset:#x}", self.root(root)),
                _ => self.root(root),
            },
            (End::Root(root), Some("")) => self.root(root),
            (End::Root(root), Some(fields)) => return format!("{}.{fields}", self.root(root)),
            (End::Unsampled, _) => "[memory that was not sampled]",
            (End::Lost, _) => "[lost: no pointer leads here]",
            (End::Cycle, _) => "[cycle: only its own blocks point here]",
            (End::NotJudged, _) => "[not judged]",
        };
        text.to_owned()
    }
}
