//! The functions that resume futures: their names, their code, and the lines in them that types do not tell.

use super::names::{by_linkage_name, by_path, first_argument, readable};
use super::{Function, Type, TypeId, Types};
use crate::scan::{EMPTY_PATH, Poll, hash_of_path};
use crate::task::Place;
use std::collections::HashSet;
use std::sync::Arc;

/// Several units may describe the same function. So many of the descriptions are looked at.
const MAX_DESCRIPTIONS: usize = 8;
/// So many variables of a function are kept.
const MAX_VARIABLES: usize = 256;
/// So many cells of futures are compared with one.
const MAX_LOOKALIKES: usize = 4096;
/// What the types of an `async fn`, block or closure have in their names.
const OF_ASYNC: &str = "{async_";
/// The variable in which `select!` and `join!` have the futures that they wait for.
const FUTURES: &str = "futures";

/// Returns the name of the future in a cell.
fn readable_future(cell: &Type) -> Arc<str> {
    readable(first_argument(&cell.name).unwrap_or_default()).into()
}

/// What the entries of a function say.
#[derive(Default)]
struct Description {
    /// The name that linkers know it by.
    linkage: Option<String>,
    code: Option<u64>,
    /// The type and the place of each variable that is called [`FUTURES`].
    variables: Vec<(TypeId, Place)>,
}

impl Types {
    /// Returns the function of which `type_` is the future.
    pub(crate) fn function(&mut self, type_: &Type) -> Arc<Function> {
        if let Some(known) = self.functions.get(&type_.id) {
            return known.clone();
        }
        let path = self.name(type_);
        let description = self.describe(type_);
        let linkage = description.linkage.and_then(|linkage| by_linkage_name(&linkage, &type_.name));
        let name = linkage.unwrap_or_else(|| by_path(&path, &type_.name)).into();
        let mut macros = Vec::new();
        for (id, place) in description.variables {
            macros.extend(self.get(id).map(|type_| (type_.name.clone(), place)));
        }
        let function = Arc::new(Function { name, code: description.code, macros });
        self.functions.insert(type_.id, function.clone());
        function
    }

    /// Describes the function that resumes the future `type_`: `{async_fn#0}<T>` for `{async_fn_env#0}<T>`.
    fn describe(&mut self, type_: &Type) -> Description {
        let mut description = Description::default();
        let name = type_.name.replacen("_env#", "#", 1);
        let scopes = self.scopes_of(type_.id);
        let scopes = scopes.iter().fold(EMPTY_PATH, |path, scope| hash_of_path(path, scope));
        let hash = hash_of_path(scopes, &name);
        for id in self.functions_of(type_.id.image, hash).into_iter().take(MAX_DESCRIPTIONS) {
            self.add_description(id, &name, &mut description);
        }
        description
    }

    fn add_description(&mut self, id: TypeId, name: &str, description: &mut Description) -> Option<()> {
        let bias = self.images.get(usize::from(id.image))?.bias;
        self.visit(id, |context, depth, entry| {
            if depth == 0 {
                if context.name(entry).as_deref() != Some(name) {
                    return false;
                }
                let linkage = entry.attr_value(gimli::DW_AT_linkage_name);
                description.linkage = description.linkage.take().or_else(|| context.string(linkage?));
                let low_pc = entry.attr_value(gimli::DW_AT_low_pc).and_then(|value| context.address(value));
                let code = low_pc.filter(|&address| address > 1).map(|address| address.wrapping_add(bias));
                description.code = description.code.or(code);
            } else if entry.tag() == gimli::DW_TAG_variable
                && description.variables.len() < MAX_VARIABLES
                && context.name(entry).as_deref() == Some(FUTURES)
                && let Some(place) = context.place(entry)
                && let Some(offset) =
                    entry.attr_value(gimli::DW_AT_type).and_then(|value| context.reference(value))
            {
                description.variables.push((TypeId { image: id.image, offset }, place));
            }
            matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_lexical_block)
        })
    }

    /// Returns the futures whose tasks cannot be told from one with this cell, because the compiler has made one function of those
    /// that poll them. It does so where their code is the same, which it never is for an `async fn`: that says its own line when it
    /// panics. Then one function lacks its code, and the cells are alike in all but the future.
    pub(crate) fn lookalikes(&mut self, cell: &Type) -> Vec<Arc<str>> {
        if cell.name.contains(OF_ASYNC) {
            return Vec::new();
        }
        if let Some(known) = self.lookalikes.get(&cell.id) {
            return known.clone();
        }
        let image = cell.id.image;
        let scheduler = |name: &str| Some(name[first_argument(name)?.len() + "Cell<".len()..].to_owned());
        let own = scheduler(&cell.name);
        let future_bytes = self.future_bytes(cell);
        let mut names = Vec::new();
        for offset in self.cells_without_code(image) {
            let Some(other) = self.get(TypeId { image, offset }) else { continue };
            let is_alike = self.future_bytes(&other) == future_bytes && scheduler(&other.name) == own;
            if is_alike && !other.name.contains(OF_ASYNC) {
                names.push(readable_future(&other));
            }
        }
        self.lookalikes.insert(cell.id, names.clone());
        names
    }

    fn future_bytes(&mut self, cell: &Type) -> Option<u64> {
        Some(self.get(cell.argument("T")?)?.bytes)
    }

    /// Returns one cell of each future that no function is known to poll.
    fn cells_without_code(&self, image: u16) -> Vec<u64> {
        let Some(types) = self.images.get(usize::from(image)) else { return Vec::new() };
        let polled: HashSet<u64> = types.found.polls.iter().map(|poll| poll.arguments).collect();
        let mut cells = types.found.cells.clone();
        cells.dedup_by_key(|(arguments, _)| *arguments);
        cells.retain(|(arguments, _)| !polled.contains(arguments));
        cells.truncate(MAX_LOOKALIKES);
        cells.into_iter().map(|(_, offset)| offset).collect()
    }

    /// Returns the name of the future that a function polls: its first generic argument.
    pub(crate) fn future_of_poll(&mut self, image: u16, poll: Poll) -> Option<Arc<str>> {
        let mut name = None;
        self.visit(TypeId { image, offset: poll.offset }, |context, _, entry| {
            name = context.name(entry);
            false
        })?;
        Some(readable(first_argument(&name?)?).into())
    }
}
