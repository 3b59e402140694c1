//! The names of what begins a chain: static variables, variables of threads, stacks.
//!
//! Path: *read path*.

use super::surroundings::Surroundings;
use crate::mappings::Mappings;
use crate::symbols::{SymbolKind, variables};
use holders::{End, Root};
use std::collections::{BTreeMap, BTreeSet};

/// Names roots.
pub(in crate::sources) struct RootNames {
    names: BTreeMap<Root, String>,
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
        let mut found = RootNames { names };
        found.name_statics(&statics, mappings);
        found.name_locals(&locals, surroundings, mappings);
        found
    }

    fn name_statics(&mut self, statics: &BTreeMap<usize, Vec<u64>>, mappings: &Mappings) {
        for (&index, addresses) in statics {
            let image = &mappings.as_slice()[index];
            let in_file: Vec<u64> = addresses.iter().map(|&address| image.elf_address(address)).collect();
            let named = variables::names(image, SymbolKind::Static, &in_file);
            for ((&address, in_file), name) in addresses.iter().zip(in_file).zip(named) {
                let text = match name {
                    Some(name) => format!("static {name}"),
                    None => format!("static {}+{in_file:#x}", image.file_name()),
                };
                self.names.insert(Root::Static(address), text);
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
        let named = program.map(|program| variables::names(program, SymbolKind::ThreadLocal, &offsets));
        for (index, roots) in locals.values().enumerate() {
            let name = named.as_ref().and_then(|names| names[index].as_deref());
            for &root in roots {
                let Root::ThreadLocal(thread, below) = root else { continue };
                let text = match name {
                    Some(name) if below > 0 => format!("thread-local {name}"),
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

    /// Returns what stands at the root of a chain.
    pub(super) fn end(&self, end: End) -> &str {
        match end {
            End::Root(root) => self.root(root),
            End::Unsampled => "[memory that was not sampled]",
            End::Lost => "[lost: no pointer leads here]",
            End::Cycle => "[cycle: only its own blocks point here]",
            End::NotJudged => "[not judged]",
        }
    }
}
