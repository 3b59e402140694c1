//! One unit of debug information in memory: what one run of the compiler said of one part of the program.

use super::bases::Bases;
use super::context::Context;
use super::elf::{DebugFile, Section};
use super::entry::{Entry, Slice, UnitPlace};
use gimli::{Abbreviations, DebugAbbrev, DebugInfo, NativeEndian, UnitHeader, UnitOffset};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::OnceLock;

/// So much of a table of abbreviations is read at first, in bytes.
const FIRST_ABBREVIATION_BYTES: usize = 16 << 10;
/// No table of abbreviations is longer, in bytes.
const MAX_ABBREVIATION_BYTES: usize = 8 << 20;
/// Scopes may be nested so deep in one another.
const MAX_DEPTH: usize = 512;

/// This is a namespace. Those that it lies in are found by `parent`.
struct Scope {
    start: u32,
    end: u32,
    parent: Option<u32>,
}

/// A unit that was read, with all of its entries.
pub(crate) struct Unit {
    pub(crate) place: UnitPlace,
    bytes: Vec<u8>,
    abbreviations: Abbreviations,
    bases: Bases,
    /// In ascending order.
    scopes: Vec<Scope>,
    files: OnceLock<Vec<Arc<str>>>,
}

impl Unit {
    /// Reads the unit at `place`. Its entries are looked at once, to find the namespaces.
    pub(crate) fn load(file: &DebugFile, place: UnitPlace) -> Option<Unit> {
        let bytes = file.read_part(Section::Info, place.offset, usize::try_from(place.bytes).ok()?);
        let abbreviations = abbreviations(file, place, &header(&bytes)?)?;
        let mut unit = Unit {
            place,
            bytes,
            abbreviations,
            bases: Bases::default(),
            scopes: Vec::new(),
            files: OnceLock::new(),
        };
        unit.bases = Bases::of(file, place, &unit.header()?, &unit.abbreviations);
        unit.scopes = unit.find_scopes()?;
        Some(unit)
    }

    /// Returns how much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.scopes.len() * size_of::<Scope>()
    }

    pub(crate) fn header(&self) -> Option<UnitHeader<Slice<'_>>> {
        header(&self.bytes)
    }

    /// Calls `each` for the entry at `offset`, and for its children if it has any. It is called with the depth below that
    /// entry, and goes no deeper into a child for which `each` returns false.
    pub(crate) fn visit(
        &self,
        offset: u32,
        mut each: impl FnMut(usize, u32, &Entry<'_>) -> bool,
    ) -> Option<()> {
        let header = self.header()?;
        let mut entries = header.entries_raw(&self.abbreviations, Some(UnitOffset(offset as usize))).ok()?;
        let mut entry = Entry::null();
        let mut skip_below = isize::MAX;
        loop {
            let at = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            let is_entry = entries.read_entry(&mut entry).ok()?;
            if is_entry && depth <= skip_below {
                let wants_children = each(depth as usize, at, &entry);
                skip_below = if wants_children { isize::MAX } else { depth };
            }
            if entries.next_depth() <= 0 {
                return Some(());
            }
        }
    }

    /// Returns what is needed to read the attributes of its entries, which are in `file`.
    pub(crate) fn context<'f>(&'f self, file: &'f DebugFile) -> Option<Context<'f>> {
        let encoding = self.header()?.encoding();
        let bases = Cow::Borrowed(&self.bases);
        Some(Context { file, place: self.place, encoding, bases, files: Some(&self.files) })
    }

    /// Returns the names of the namespaces that the entry at `offset` lies in, the outermost first.
    pub(crate) fn path_of(&self, context: &Context<'_>, offset: u32) -> Vec<String> {
        let mut scope = self.scope_of(offset);
        let mut names = Vec::new();
        while let Some(index) = scope {
            let Some(at) = self.scopes.get(index as usize) else { break };
            let mut name = None;
            self.visit(at.start, |_, _, entry| {
                name = context.name(entry);
                false
            });
            names.push(name.unwrap_or_else(|| "?".to_owned()));
            // A parent comes before its children, so this ends.
            scope = at.parent;
        }
        names.reverse();
        names
    }

    fn scope_of(&self, offset: u32) -> Option<u32> {
        let before = self.scopes.partition_point(|scope| scope.start < offset);
        let mut scope = before.checked_sub(1).map(|index| index as u32);
        while let Some(index) = scope {
            let at = &self.scopes[index as usize];
            if offset < at.end {
                break;
            }
            scope = at.parent;
        }
        scope
    }

    fn find_scopes(&self) -> Option<Vec<Scope>> {
        let header = self.header()?;
        let mut entries = header.entries_raw(&self.abbreviations, None).ok()?;
        let mut scopes: Vec<Scope> = Vec::new();
        // The scopes that are open, each with the depth of its children.
        let mut open: Vec<(u32, isize)> = Vec::new();
        while !entries.is_empty() {
            let offset = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            while let Some(&(scope, children)) = open.last()
                && depth < children
            {
                scopes[scope as usize].end = offset;
                open.pop();
            }
            let Ok(abbreviation) = entries.read_abbreviation() else { break };
            let Some(abbreviation) = abbreviation else { continue };
            if entries.skip_attributes(abbreviation.attributes()).is_err() {
                break;
            }
            let is_namespace = abbreviation.tag() == gimli::DW_TAG_namespace && abbreviation.has_children();
            if is_namespace && open.len() < MAX_DEPTH {
                let parent = open.last().map(|&(scope, _)| scope);
                open.push((scopes.len() as u32, depth + 1));
                scopes.push(Scope { start: offset, end: u32::MAX, parent });
            }
        }
        scopes.shrink_to_fit();
        Some(scopes)
    }
}

/// Reads the header of the unit that `bytes` begins with.
pub(crate) fn header(bytes: &[u8]) -> Option<UnitHeader<Slice<'_>>> {
    DebugInfo::new(bytes, NativeEndian).units().next().ok()?
}

/// Reads the table of abbreviations of a unit.
pub(crate) fn abbreviations(
    file: &DebugFile,
    place: UnitPlace,
    header: &UnitHeader<Slice<'_>>,
) -> Option<Abbreviations> {
    // mutant: E20 the abbreviations of a unit in a package are another one's
    let base = file.parts_of(place.offset).map_or(0, |parts| parts.abbreviations);
    let offset = base.checked_add(header.debug_abbrev_offset().0 as u64)?;
    let mut bytes = FIRST_ABBREVIATION_BYTES;
    loop {
        let part = file.read_part(Section::Abbreviations, offset, bytes);
        let table = DebugAbbrev::new(&part, NativeEndian);
        if let Ok(table) = table.abbreviations(gimli::DebugAbbrevOffset(0)) {
            return Some(table);
        }
        // It goes on behind what was read, or it is broken.
        if part.len() < bytes || bytes >= MAX_ABBREVIATION_BYTES {
            return None;
        }
        bytes *= 4;
    }
}
