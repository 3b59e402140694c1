//! The cache keeps what every address resolved to. It lives as long as the process, and its size is bounded.
//!
//! Names are kept by file and by the file's own virtual address, not by address in memory. So a library that is
//! unloaded and loaded elsewhere finds its names again, and another build of it does not inherit them. Only `symbols`
//! calls this, under its lock.
//!
//! Path: *read path*.

use super::{Function, ResolvedAddress};
use crate::mappings::Mapping;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The cache holds at most this much after a request, by its own account, unless a single request needs more. An
/// address takes less than 1 KiB even where generic names are long, so this serves more than 30 000 distinct call
/// sites. Beyond that, every profile looks names up anew.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// An entry of a map or set costs roughly this much beside its contents.
const ENTRY_BYTES: usize = 48;

/// The cache is emptied when it is full. A heap profile asks for nearly the same addresses each time, so what is needed
/// comes back at once, and what is no longer needed does not.
#[derive(Default)]
pub(super) struct Cache {
    files: HashMap<FileIdentity, FileId>,
    addresses: HashMap<(FileId, u64), Arc<ResolvedAddress>>,
    functions: HashSet<Arc<Function>>,
    file_names: HashSet<Arc<str>>,
    bytes: usize,
}

/// Identifies a mapped file within this cache. The id is valid until the cache is next emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId(u32);

/// Two mappings are parts of one build of one file if they agree in all of this.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct FileIdentity {
    path: String,
    build_id: String,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(mapping: &Mapping) -> FileIdentity {
        FileIdentity { path: mapping.path.clone(), build_id: mapping.build_id.clone(), inode: mapping.inode }
    }
}

impl Cache {
    /// Empties the cache if it is full, which invalidates every [`FileId`]. It is called before each request.
    pub(super) fn make_room(&mut self) {
        // mutant: C3 names are kept without end
        if self.bytes > MAX_BYTES {
            *self = Cache::default();
        }
    }

    /// The id of the file that `mapping` is a part of.
    pub(super) fn file_id(&mut self, mapping: &Mapping) -> FileId {
        let identity = FileIdentity::of(mapping);
        let next = FileId(self.files.len() as u32);
        *self.files.entry(identity).or_insert_with(|| {
            self.bytes += mapping.path.len() + mapping.build_id.len() + ENTRY_BYTES;
            next
        })
    }

    /// Returns what the file's virtual address resolved to earlier.
    pub(super) fn get(&self, file: FileId, elf_address: u64) -> Option<Arc<ResolvedAddress>> {
        self.addresses.get(&(file, elf_address)).cloned()
    }

    /// Keeps what the file's virtual address resolved to.
    pub(super) fn insert(&mut self, file: FileId, elf_address: u64, resolved: Arc<ResolvedAddress>) {
        self.bytes += ENTRY_BYTES + size_of::<ResolvedAddress>() + size_of_val(&resolved.lines[..]);
        self.addresses.insert((file, elf_address), resolved);
    }

    /// Returns `function`, shared with every equal one. A function has many addresses, and is inlined in many places.
    pub(super) fn function(&mut self, function: Function) -> Arc<Function> {
        if let Some(known) = self.functions.get(&function) {
            return known.clone();
        }
        self.bytes +=
            size_of::<Function>() + function.name.len() + function.linkage_name.len() + 2 * ENTRY_BYTES;
        let shared = Arc::new(function);
        self.functions.insert(shared.clone());
        shared
    }

    /// Returns the name of a source file, shared with every equal one.
    pub(super) fn file_name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.file_names.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.bytes += name.len() + ENTRY_BYTES;
        self.file_names.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(build_id: &str) -> Mapping {
        Mapping { path: "/lib/a.so".into(), build_id: build_id.into(), inode: 1, ..Mapping::default() }
    }

    #[test]
    fn another_build_at_the_same_place_is_another_file() {
        let mut cache = Cache::default();
        let old = cache.file_id(&library("01"));
        cache.insert(old, 0x10, Arc::default());
        let new = cache.file_id(&library("02"));
        assert!(cache.get(old, 0x10).is_some());
        assert!(cache.get(new, 0x10).is_none());
        // The file is still the same when it is mapped elsewhere in memory.
        let moved = cache.file_id(&Mapping { start: 77, ..library("01") });
        assert_eq!(moved, old);
    }

    #[test]
    fn what_is_equal_is_kept_once() {
        let mut cache = Cache::default();
        let mut function = |name: &str| {
            let file = cache.file_name("a.rs");
            let role = Default::default();
            cache.function(Function { name: name.into(), linkage_name: "".into(), file, role })
        };
        let (f, again, g) = (function("f"), function("f"), function("g"));
        assert!(Arc::ptr_eq(&f, &again) && !Arc::ptr_eq(&f, &g) && Arc::ptr_eq(&f.file, &g.file));
    }

    #[test]
    fn the_cache_is_emptied_when_full() {
        let mut cache = Cache::default();
        let file = cache.file_id(&library("01"));
        cache.insert(file, 1, Arc::default());
        cache.make_room();
        assert!(cache.get(file, 1).is_some());
        for number in 0..MAX_BYTES / 1024 {
            cache.file_name(&format!("{number:01024}"));
        }
        cache.make_room();
        assert_eq!((cache.addresses.len(), cache.file_names.len(), cache.bytes), (0, 0, 0));
    }
}
