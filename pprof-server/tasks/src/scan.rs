//! One pass over all entries of a file, which keeps the places of the few that lead from a task to its type.
//!
//! Those are the functions that poll tasks, the types of their cells, and the tables of methods by which boxed futures are
//! polled. Nothing else is kept, and no more than one unit is in memory at a time.

use crate::debug_file::{self, Context, DebugFile, Section, Skeleton, Slice, UnitPlace};
use gimli::{AttributeValue, EntriesRaw};
use std::collections::{HashMap, HashSet};

/// So much of the entries is read at once, in bytes, unless a unit is larger.
const CHUNK_BYTES: u64 = 1 << 20;
/// A unit that is larger, in bytes, is left out.
const MAX_UNIT_BYTES: u64 = 48 << 20;
/// So many names of namespaces are remembered: units repeat them.
const MAX_NAMES: usize = 1 << 16;
/// So many names of other functions are remembered.
const MAX_OTHER_NAMES: usize = 1 << 18;
/// What the names of functions that resume futures begin with.
const OF_FUTURE: &str = "{async_";
/// No more than so many entries of each kind are kept.
const MAX_FOUND: usize = 1 << 19;

/// What the pass found. Offsets are those in the section.
#[derive(Clone, Default)]
pub(crate) struct Found {
    /// All units, in ascending order.
    pub(crate) units: Vec<UnitPlace>,
    /// These are the functions that poll tasks.
    pub(crate) polls: Vec<Poll>,
    /// These are the types of cells, each with the hash of its generic arguments.
    pub(crate) cells: Vec<(u64, u64)>,
    /// These are the types of what cells begin with.
    pub(crate) headers: Vec<u64>,
    /// These are the tables of methods: the address of each comes with the offset of its type.
    pub(crate) method_tables: Vec<(u64, u64)>,
    /// The static variables of the program: the address of each comes with the offset of its type.
    pub(crate) statics: Vec<(u64, u64)>,
    /// The same of variables that each thread has, by where they are among these.
    pub(crate) thread_locals: Vec<(u64, u64)>,
    /// The functions that resume futures, each with the hash of its path.
    pub(crate) functions: Vec<(u64, u64)>,
    /// The units of which most is in another file.
    pub(crate) skeletons: Vec<Skeleton>,
    /// Whether something was left out because it makes no sense, or is too large.
    pub(crate) is_broken: bool,
    /// How much of the section was looked at, in bytes.
    pub(crate) scanned_bytes: u64,
}

/// This is a function that polls tasks of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Poll {
    /// Where its code begins, as the file has it.
    pub(crate) address: u64,
    /// This is the offset of its entry.
    pub(crate) offset: u64,
    /// This is the hash of its generic arguments.
    pub(crate) arguments: u64,
}

/// Namespaces on the way to what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Outside,
    Tokio,
    Runtime,
    Task,
    Raw,
    Core,
}

impl Way {
    /// Returns where the namespace `name` leads that is in the one with the hash `path`.
    fn into(self, name: &str, path: u64) -> Way {
        match (self, name) {
            (Way::Outside, "tokio") if path == EMPTY_PATH => Way::Tokio,
            (Way::Tokio, "runtime") => Way::Runtime,
            (Way::Runtime, "task") => Way::Task,
            (Way::Task, "raw") => Way::Raw,
            (Way::Task, "core") => Way::Core,
            _ => Way::Outside,
        }
    }
}

/// A namespace that is open.
#[derive(Clone, Copy, Debug)]
struct Namespace {
    way: Way,
    /// This is the hash of its path.
    path: u64,
}

const ROOT: Namespace = Namespace { way: Way::Outside, path: EMPTY_PATH };

/// Goes over `file` from where `found` ends, for as long as `may_go_on` says so. It is asked before each unit.
pub(crate) fn scan(file: &DebugFile, found: Found, may_go_on: &dyn Fn() -> bool) -> Found {
    let mut offset = found.scanned_bytes;
    let mut scan = Scan { file, found, names: HashMap::new(), other_names: HashSet::new() };
    let end = file.bytes_of(Section::Info);
    let mut chunk: Vec<u8> = Vec::new();
    let mut chunk_at = offset;
    while offset < end && may_go_on() {
        let within = offset - chunk_at;
        let rest = usize::try_from(within).ok().and_then(|start| chunk.get(start..)).unwrap_or(&[]);
        let length = unit_length(rest);
        if let Some(bytes) = length
            && let Some(unit) = rest.get(..usize::try_from(bytes).unwrap_or(usize::MAX))
        {
            let place = UnitPlace { offset, bytes };
            scan.found.units.push(place);
            if scan.unit(place, unit).is_none() {
                scan.found.is_broken = true;
            }
            offset += bytes;
            continue;
        }
        if let Some(bytes) = length.filter(|&bytes| bytes > MAX_UNIT_BYTES) {
            scan.found.is_broken = true;
            offset = offset.saturating_add(bytes);
            continue;
        }
        let wanted = length.unwrap_or(0).max(CHUNK_BYTES).min(end - offset);
        if chunk_at == offset && chunk.len() as u64 >= wanted {
            // All that there is was read already, and it is not a whole unit.
            scan.found.is_broken = true;
            offset = end;
            break;
        }
        chunk.resize(wanted as usize, 0);
        let read = file.read(Section::Info, offset, &mut chunk);
        chunk.truncate(read);
        chunk_at = offset;
        if (read as u64) < wanted {
            scan.found.is_broken = true;
            if read == 0 {
                offset = end;
                break;
            }
        }
    }
    scan.found.scanned_bytes = offset;
    scan.found.tidy();
    scan.found
}

/// Returns how long the unit is that `bytes` begins with, if that much is there.
fn unit_length(bytes: &[u8]) -> Option<u64> {
    let word = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    match word {
        u32::MAX => u64::from_ne_bytes(bytes.get(4..12)?.try_into().ok()?).checked_add(12),
        _ => Some(u64::from(word) + 4),
    }
}

/// What the hash of a path begins with.
pub(crate) const EMPTY_PATH: u64 = 0xcbf2_9ce4_8422_2325;

/// Returns the hash of a path that has one more name at its end.
pub(crate) fn hash_of_path(path: u64, name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    name.bytes().fold(step(path, b':'), step)
}

/// Returns a number for the generic arguments in the name of a type or a function: equal for equal ones.
pub(crate) fn hash_of_arguments(name: &str) -> Option<u64> {
    Some(hash_of_path(EMPTY_PATH, &name[name.find('<')?..]))
}

impl Found {
    /// Returns the unit that has the entry at `offset`.
    pub(crate) fn unit_at(&self, offset: u64) -> Option<UnitPlace> {
        let after = self.units.partition_point(|unit| unit.offset <= offset);
        let unit = self.units[after.checked_sub(1)?];
        (offset - unit.offset < unit.bytes).then_some(unit)
    }

    /// Whether all of `file` was looked at.
    pub(crate) fn is_of_whole(&self, file: &DebugFile) -> bool {
        self.scanned_bytes >= file.bytes_of(Section::Info)
    }

    /// Returns how much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&self.units[..])
            + size_of_val(&self.polls[..])
            + size_of_val(&self.cells[..])
            + size_of_val(&self.headers[..])
            + size_of_val(&self.method_tables[..])
            + size_of_val(&self.statics[..])
            + size_of_val(&self.thread_locals[..])
            + size_of_val(&self.functions[..])
            // Each has the folder of its own.
            + self.skeletons.len() * (size_of::<Skeleton>() + 64)
    }

    fn tidy(&mut self) {
        self.polls.sort_unstable();
        self.polls.dedup();
        self.cells.sort_unstable();
        self.functions.sort_unstable();
        for variables in [&mut self.method_tables, &mut self.statics, &mut self.thread_locals] {
            variables.sort_unstable();
            variables.dedup();
            variables.shrink_to_fit();
        }
        self.units.shrink_to_fit();
        self.polls.shrink_to_fit();
        self.cells.shrink_to_fit();
        self.functions.shrink_to_fit();
        self.headers.shrink_to_fit();
    }
}

struct Scan<'f> {
    file: &'f DebugFile,
    found: Found,
    /// These namespaces are known, by the offset of the name and the path around it.
    names: HashMap<(u64, u64), Namespace>,
    /// The offsets of names of functions that do not resume futures.
    other_names: HashSet<u64>,
}

/// The attributes that are looked at.
#[derive(Clone, Copy, Default)]
struct Attributes<'a> {
    name: Option<AttributeValue<Slice<'a>>>,
    low_pc: Option<AttributeValue<Slice<'a>>>,
    location: Option<AttributeValue<Slice<'a>>>,
    type_: Option<AttributeValue<Slice<'a>>>,
    is_declaration: bool,
}

impl<'a> Attributes<'a> {
    fn read(
        entries: &mut EntriesRaw<'_, Slice<'a>>,
        abbreviation: &gimli::Abbreviation,
    ) -> Option<Attributes<'a>> {
        let mut found = Attributes::default();
        for &specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(specification).ok()?;
            match attribute.name() {
                gimli::DW_AT_name => found.name = Some(attribute.value()),
                gimli::DW_AT_low_pc => found.low_pc = Some(attribute.value()),
                gimli::DW_AT_location => found.location = Some(attribute.value()),
                gimli::DW_AT_type => found.type_ = Some(attribute.value()),
                gimli::DW_AT_declaration => found.is_declaration = true,
                _ => {}
            }
        }
        Some(found)
    }
}

impl Scan<'_> {
    /// Looks at all entries of the unit that `bytes` are.
    fn unit(&mut self, place: UnitPlace, bytes: &[u8]) -> Option<()> {
        if !self.file.has_unit(place.offset) {
            return Some(());
        }
        let header = debug_file::header(bytes)?;
        let table = debug_file::abbreviations(self.file, place, &header)?;
        let unit = Context::new(self.file, place, &header, &table);
        if let Some(skeleton) = unit.bases.skeleton() {
            if self.found.skeletons.len() < MAX_FOUND {
                self.found.skeletons.push(skeleton);
            }
            return Some(());
        }
        let mut entries = header.entries_raw(&table, None).ok()?;
        // The namespaces that are open, each with the depth of its children.
        let mut open: Vec<(Namespace, isize)> = Vec::new();
        while !entries.is_empty() {
            let offset = place.offset + entries.next_offset().0 as u64;
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            while open.last().is_some_and(|&(_, children)| depth < children) {
                open.pop();
            }
            let (within, children) = open.last().copied().unwrap_or((ROOT, 1));
            let is_child = depth == children;
            let is_wanted = match abbreviation.tag() {
                gimli::DW_TAG_namespace => is_child && abbreviation.has_children(),
                gimli::DW_TAG_subprogram => is_child,
                gimli::DW_TAG_structure_type => within.way == Way::Core && is_child,
                gimli::DW_TAG_variable => is_child,
                _ => false,
            };
            if !is_wanted {
                entries.skip_attributes(abbreviation.attributes()).ok()?;
                continue;
            }
            let attributes = Attributes::read(&mut entries, abbreviation)?;
            match abbreviation.tag() {
                gimli::DW_TAG_namespace => {
                    open.push((self.namespace(&unit, within, &attributes), depth + 1));
                }
                gimli::DW_TAG_subprogram => self.function(&unit, within, offset, &attributes),
                gimli::DW_TAG_structure_type => self.type_of_task(&unit, offset, &attributes),
                _ => self.variable(&unit, within, &attributes),
            }
        }
        Some(())
    }

    fn namespace(&mut self, unit: &Context<'_>, within: Namespace, attributes: &Attributes<'_>) -> Namespace {
        let offset = attributes.name.and_then(|value| unit.name_offset(value));
        let key = offset.map(|offset| (offset, within.path));
        if let Some(&known) = key.and_then(|key| self.names.get(&key)) {
            return known;
        }
        let name = attributes.name.and_then(|value| unit.string(value)).unwrap_or_default();
        let into =
            Namespace { way: within.way.into(&name, within.path), path: hash_of_path(within.path, &name) };
        if let Some(key) = key.filter(|_| self.names.len() < MAX_NAMES) {
            self.names.insert(key, into);
        }
        into
    }

    /// Keeps a function if it is `tokio::runtime::task::raw::poll<T, S>` and has code, or if it resumes a future.
    fn function(&mut self, unit: &Context<'_>, within: Namespace, offset: u64, attributes: &Attributes<'_>) {
        let Some(value) = attributes.name else { return };
        // Nearly all functions are others, and reading their names would take most of the time.
        if within.way != Way::Raw && !unit.name_offset(value).is_none_or(|at| self.is_of_future(unit, at)) {
            return;
        }
        let Some(name) = unit.string(value) else { return };
        if name.starts_with(OF_FUTURE) {
            if self.found.functions.len() < MAX_FOUND {
                self.found.functions.push((hash_of_path(within.path, &name), offset));
            }
        } else if within.way == Way::Raw
            && name.starts_with("poll<")
            && self.found.polls.len() < MAX_FOUND
            && let Some(address) = attributes.low_pc.and_then(|value| unit.address(value))
            && let Some(arguments) = hash_of_arguments(&name)
            // The linker leaves 0 or 1, or the largest number, where it has thrown the code away.
            && address > 1
            && address < u64::MAX - 1
        {
            self.found.polls.push(Poll { address, offset, arguments });
        }
    }

    /// Whether the name at `offset` is one of a function that resumes a future.
    fn is_of_future(&mut self, unit: &Context<'_>, offset: u64) -> bool {
        if self.other_names.contains(&offset) {
            return false;
        }
        let is_of_future = unit.begins_with(offset, OF_FUTURE.as_bytes());
        if !is_of_future && self.other_names.len() < MAX_OTHER_NAMES {
            self.other_names.insert(offset);
        }
        is_of_future
    }

    /// Keeps a type if it is `tokio::runtime::task::core::Cell<T, S>`, or the `Header` there.
    fn type_of_task(&mut self, unit: &Context<'_>, offset: u64, attributes: &Attributes<'_>) {
        let Some(name) = attributes.name.filter(|_| !attributes.is_declaration) else { return };
        let Some(name) = unit.string(name) else { return };
        if name == "Header" && self.found.headers.len() < MAX_FOUND {
            self.found.headers.push(offset);
        } else if name.starts_with("Cell<")
            && self.found.cells.len() < MAX_FOUND
            && let Some(arguments) = hash_of_arguments(&name)
        {
            self.found.cells.push((arguments, offset));
        }
    }

    /// Keeps a variable that has a place of its own. Outside all namespaces these are tables of methods, and little else.
    fn variable(&mut self, unit: &Context<'_>, within: Namespace, attributes: &Attributes<'_>) {
        let Some(AttributeValue::Exprloc(expression)) = attributes.location else { return };
        let Some(type_) = attributes.type_.and_then(|value| unit.reference(value)) else { return };
        let (kept, place) = match unit.address_of(expression) {
            Some(address) if within.path == EMPTY_PATH => (&mut self.found.method_tables, Some(address)),
            Some(address) => (&mut self.found.statics, Some(address)),
            None => (&mut self.found.thread_locals, unit.thread_local_of(expression)),
        };
        if let Some(place) = place.filter(|_| kept.len() < MAX_FOUND) {
            kept.push((place, type_));
        }
    }
}
