//! Types and units that were read, so that none is read twice while it is needed.

use super::{Function, HeaderLayout, Shape, Type, TypeId, compile};
use crate::debug_file::{Context, DebugFile, Entry, Unit};
use crate::scan::{Found, Poll};
use crate::task::End;
use std::collections::HashMap;
use std::sync::Arc;

/// Units are kept in memory until they are larger than this together, in bytes.
const MAX_UNITS_BYTES: usize = 24 << 20;
/// Arrays may be nested so deep in one another.
const MAX_ARRAYS: usize = 16;
/// So many types are kept before all are forgotten.
const MAX_TYPES: usize = 1 << 16;

/// The debug information of one image, and what was found in it.
pub(crate) struct ImageTypes {
    /// This is the place of the image among those that the index was made of. A package has that of its image.
    pub(crate) number: usize,
    pub(crate) file: DebugFile,
    /// This is what the loader added to the addresses in the file.
    pub(crate) bias: u64,
    pub(crate) found: Found,
}

/// These are all types of a program, as far as they were asked for.
#[derive(Default)]
pub(crate) struct Types {
    pub(crate) images: Vec<ImageTypes>,
    /// The one that was used last is at the end.
    units: Vec<(u16, Arc<Unit>)>,
    types: HashMap<TypeId, Option<Arc<Type>>>,
    /// Whether a future can be found in a value of the type.
    pub(crate) leads: HashMap<TypeId, bool>,
    /// The futures that cannot be told from that in a cell.
    pub(super) lookalikes: HashMap<TypeId, Vec<Arc<str>>>,
    /// What tables of methods are for, by their addresses.
    pub(crate) implementors: HashMap<u64, Result<TypeId, End>>,
    pub(super) functions: HashMap<TypeId, Arc<Function>>,
    names: HashMap<TypeId, Arc<str>>,
    /// How headers of tasks may look, once that was found out.
    pub(crate) header_layouts: Option<Vec<HeaderLayout>>,
}

impl Types {
    /// Returns the types of these images, none of which was read yet.
    pub(crate) fn of(images: Vec<ImageTypes>) -> Types {
        Types { images, ..Types::default() }
    }

    /// Returns a type. It is `None` if debug information makes no sense there.
    pub(crate) fn get(&mut self, id: TypeId) -> Option<Arc<Type>> {
        if let Some(known) = self.types.get(&id) {
            return known.clone();
        }
        if self.types.len() >= MAX_TYPES {
            self.types.clear();
            self.leads.clear();
        }
        let compiled = self.compile(id).map(Arc::new);
        self.types.insert(id, compiled.clone());
        compiled
    }

    fn compile(&mut self, id: TypeId) -> Option<Type> {
        let unit = self.unit(id)?;
        let file = &self.images.get(usize::from(id.image))?.file;
        let parts = compile::parts_of(file, &unit, id)?;
        // The compiler may have left the type of the tag to another unit.
        let tag = parts.tag().map(|tag| tag.type_);
        let tag_bytes = tag.and_then(|tag| self.bytes_of(tag));
        parts.finish(id, tag_bytes)
    }

    /// Returns the size of a type without reading the type, which may have any other in it.
    fn bytes_of(&mut self, id: TypeId) -> Option<u64> {
        let mut bytes = None;
        self.visit(id, |_, _, entry| {
            let size = entry.attr_value(gimli::DW_AT_byte_size);
            bytes = size.and_then(|value| value.udata_value());
            false
        })?;
        bytes
    }

    /// Calls `each` for the entry `id` and what is beneath it, with the depth there, and goes no deeper where it returns false.
    pub(super) fn visit(
        &mut self,
        id: TypeId,
        mut each: impl FnMut(&Context<'_>, usize, &Entry<'_>) -> bool,
    ) -> Option<()> {
        let unit = self.unit(id)?;
        let context = unit.context(&self.images.get(usize::from(id.image))?.file)?;
        let at = u32::try_from(id.offset.checked_sub(unit.place.offset)?).ok()?;
        unit.visit(at, |depth, _, entry| each(&context, depth, entry))
    }

    /// Returns the unit that a type is in.
    pub(super) fn unit(&mut self, id: TypeId) -> Option<Arc<Unit>> {
        let image = self.images.get(usize::from(id.image))?;
        let place = image.found.unit_at(id.offset)?;
        let is_it = |(image, unit): &(u16, Arc<Unit>)| *image == id.image && unit.place == place;
        if let Some(position) = self.units.iter().position(is_it) {
            let last = self.units.len() - 1;
            if position != last {
                self.units.swap(position, last);
            }
            return Some(self.units[last].1.clone());
        }
        let unit = Arc::new(Unit::load(&image.file, place)?);
        self.units.push((id.image, unit.clone()));
        while self.units_bytes() > MAX_UNITS_BYTES && self.units.len() > 1 {
            self.units.remove(0);
        }
        Some(unit)
    }

    /// Lets go of the units, which are most of the memory. Types that were read stay.
    pub(crate) fn forget_units(&mut self) {
        self.units = Vec::new();
    }

    fn units_bytes(&self) -> usize {
        self.units.iter().map(|(_, unit)| unit.memory_bytes()).sum()
    }

    /// Returns about how much memory the types that were read take, in bytes. Texts that are shared count more than once.
    pub(crate) fn memory_bytes(&self) -> usize {
        let types: usize = self.types.values().flatten().map(|type_| type_.memory_bytes()).sum();
        let names: usize = self.names.values().map(|name| name.len()).sum();
        let functions: usize = self.functions.values().map(|function| function.memory_bytes()).sum();
        let lookalikes: usize =
            self.lookalikes.values().flatten().map(|name| size_of_val(name) + name.len()).sum();
        // The maps have an entry for each, with some room.
        let entries = 64 * (self.types.len() + self.leads.len() + self.implementors.len() + self.names.len());
        types + names + functions + lookalikes + entries
    }

    /// Returns the functions that poll tasks and whose code begins at `address`, each with its image.
    pub(crate) fn polls_at(&self, address: u64) -> Vec<(u16, Poll)> {
        let of_image = |(image, types): (usize, &ImageTypes)| {
            let address = address.wrapping_sub(types.bias);
            let polls = &types.found.polls;
            let start = polls.partition_point(|poll| poll.address < address);
            let here = polls[start..].iter().take_while(move |poll| poll.address == address);
            here.map(|&poll| (image as u16, poll)).collect::<Vec<_>>()
        };
        self.images.iter().enumerate().flat_map(of_image).collect()
    }

    /// Yields the types of what cells begin with.
    pub(crate) fn headers(&self) -> impl Iterator<Item = TypeId> {
        let of_image = |(image, types): (usize, &ImageTypes)| {
            let id = move |&offset: &u64| TypeId { image: image as u16, offset };
            types.found.headers.iter().map(id).collect::<Vec<_>>()
        };
        self.images.iter().enumerate().flat_map(of_image)
    }

    /// Returns up to `most` types that the cell of a task may have that is polled by `polls`. Those in the same unit come first:
    /// types of one name in two units may be of two versions of a crate.
    pub(crate) fn cells_of(&self, polls: &[(u16, Poll)], most: usize) -> Vec<TypeId> {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for &(image, poll) in polls {
            let Some(types) = self.images.get(usize::from(image)) else { continue };
            let cells = &types.found.cells;
            let start = cells.partition_point(|&(arguments, _)| arguments < poll.arguments);
            let end = cells.partition_point(|&(arguments, _)| arguments <= poll.arguments);
            let same = &cells[start..end];
            let id = |&(_, offset): &(u64, u64)| TypeId { image, offset };
            if let Some(unit) = types.found.unit_at(poll.offset) {
                let first = same.partition_point(|&(_, offset)| offset < unit.offset);
                let is_in_unit = |cell: &&(u64, u64)| cell.1 - unit.offset < unit.bytes;
                near.extend(same[first..].iter().take_while(is_in_unit).map(id));
            }
            far.extend(same.iter().take(most).map(id));
            if near.len() >= most {
                break;
            }
        }
        near.append(&mut far);
        near.truncate(most);
        near
    }

    /// Returns the types of the tables of methods that lie at `address`.
    pub(crate) fn method_tables_at(&self, address: u64) -> Vec<TypeId> {
        let of_image = |(image, types): (usize, &ImageTypes)| {
            let address = address.wrapping_sub(types.bias);
            let tables = &types.found.method_tables;
            let start = tables.partition_point(|&(table, _)| table < address);
            let here = tables[start..].iter().take_while(move |(table, _)| *table == address);
            here.map(|&(_, offset)| TypeId { image: image as u16, offset }).collect::<Vec<_>>()
        };
        self.images.iter().enumerate().flat_map(of_image).collect()
    }

    /// Returns the static variable that has `address` in it: its type, and where it begins.
    pub(crate) fn static_at(&mut self, address: u64) -> Option<(TypeId, u64)> {
        let of_image = |(image, types): (usize, &ImageTypes)| {
            let (start, offset) = last_before(&types.found.statics, address.wrapping_sub(types.bias))?;
            Some((TypeId { image: image as u16, offset }, start.wrapping_add(types.bias)))
        };
        let found: Vec<_> = self.images.iter().enumerate().filter_map(of_image).collect();
        found.into_iter().find(|&(id, start)| self.has(id, address.wrapping_sub(start)))
    }

    /// Returns the variable of a thread that has the byte at `place` among all that a thread has of the image at `bias`: its type, and
    /// where it begins.
    pub(crate) fn thread_local_at(&mut self, bias: u64, place: u64) -> Option<(TypeId, u64)> {
        let of_image = |(image, types): (usize, &ImageTypes)| {
            let (start, offset) = last_before(&types.found.thread_locals, place)?;
            (types.bias == bias).then_some((TypeId { image: image as u16, offset }, start))
        };
        let found: Vec<_> = self.images.iter().enumerate().filter_map(of_image).collect();
        found.into_iter().find(|&(id, start)| self.has(id, place - start))
    }

    /// Whether a value of the type has a byte at this offset.
    fn has(&mut self, id: TypeId, offset: u64) -> bool {
        offset < self.value_bytes(id)
    }

    /// Returns how many bytes a value of the type has. Debug information does not say so of arrays.
    pub(crate) fn value_bytes(&mut self, mut id: TypeId) -> u64 {
        let mut count: u64 = 1;
        for _ in 0..MAX_ARRAYS {
            let Some(type_) = self.get(id) else { return 0 };
            let Shape::Array { element, count: more } = type_.shape else {
                return type_.bytes.saturating_mul(count);
            };
            (id, count) = (element, count.saturating_mul(more));
        }
        0
    }

    /// Returns the type that a table of methods is for.
    pub(crate) fn implementor(&mut self, table: TypeId) -> Option<TypeId> {
        let mut offset = None;
        self.visit(table, |context, _, entry| {
            let containing = entry.attr_value(gimli::DW_AT_containing_type);
            offset = containing.and_then(|value| context.reference(value));
            false
        })?;
        Some(TypeId { image: table.image, offset: offset? })
    }

    /// Returns the functions whose path has this hash.
    pub(super) fn functions_of(&self, image: u16, path: u64) -> Vec<TypeId> {
        let Some(types) = self.images.get(usize::from(image)) else { return Vec::new() };
        let functions = &types.found.functions;
        let start = functions.partition_point(|&(other, _)| other < path);
        let same = functions[start..].iter().take_while(|&&(other, _)| other == path);
        same.map(|&(_, offset)| TypeId { image, offset }).collect()
    }

    /// Returns the name of a type, with the namespaces that it is in.
    pub(crate) fn name(&mut self, type_: &Type) -> Arc<str> {
        if let Some(known) = self.names.get(&type_.id) {
            return known.clone();
        }
        let mut path = self.scopes_of(type_.id);
        path.push(type_.name.to_string());
        let name: Arc<str> = path.join("::").into();
        if self.names.len() >= MAX_TYPES {
            self.names.clear();
        }
        self.names.insert(type_.id, name.clone());
        name
    }

    /// Returns the names of the namespaces that a type is in, the outermost first.
    pub(super) fn scopes_of(&mut self, id: TypeId) -> Vec<String> {
        let mut scopes = || {
            let unit = self.unit(id)?;
            let context = unit.context(&self.images.get(usize::from(id.image))?.file)?;
            Some(unit.path_of(&context, u32::try_from(id.offset.checked_sub(unit.place.offset)?).ok()?))
        };
        scopes().unwrap_or_default()
    }
}

/// Returns the last of `variables`, which are ascending, that does not begin after `place`.
fn last_before(variables: &[(u64, u64)], place: u64) -> Option<(u64, u64)> {
    let after = variables.partition_point(|&(start, _)| start <= place);
    variables.get(after.checked_sub(1)?).copied()
}
