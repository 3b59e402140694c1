//! The program's types as debug information describes them, read when they are first asked for.

mod compile;
mod functions;
mod names;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub(crate) use names::short;
pub(crate) use store::Types;

use crate::task::Place;
use std::sync::Arc;

/// Names a type: the image that it is in, and the offset of its entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TypeId {
    pub(crate) image: u16,
    pub(crate) offset: u64,
}

/// Where the header of a task has what. Several versions of the runtime may be in one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderLayout {
    /// The offset of the word that says what the task is doing.
    pub(crate) state: u64,
    /// This is the offset of the pointer to the table of the task's functions.
    pub(crate) vtable: u64,
    /// The offset in that table of the function that polls the task, if it is known.
    pub(crate) poll: Option<u64>,
}

/// A type, as far as it matters for following futures.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) id: TypeId,
    /// Its name, without the namespaces that it is in. It is empty if it has none.
    pub(crate) name: Arc<str>,
    /// How many bytes a value takes.
    pub(crate) bytes: u64,
    pub(crate) shape: Shape,
    /// These are its generic arguments, by the names of the parameters.
    pub(crate) arguments: Vec<(Arc<str>, TypeId)>,
}

/// The function of which a type is the future.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// This is its name, such as `my_service::reader`.
    pub(crate) name: Arc<str>,
    /// Where its code begins in memory, if it is a function of its own: the compiler may have put it into its caller.
    pub(crate) code: Option<u64>,
    /// The lines at which it calls `select!`, `join!` and the like, each with the name of the type of the futures there.
    pub(crate) macros: Vec<(Arc<str>, Place)>,
}

/// What a value is made of.
#[derive(Debug)]
pub(crate) enum Shape {
    /// It is all of these: a struct, a tuple, or what a closure has captured.
    Record(Vec<Member>),
    /// It is one of these, and nothing in it says which: a union.
    Union(Vec<Member>),
    /// It is one of several: an enum, or the future of an `async fn`.
    Choice { tag: Option<Tag>, variants: Vec<Variant> },
    /// It is the address of another value.
    Pointer(TypeId),
    /// It is so many values of one type.
    Array { element: TypeId, count: u64 },
    /// It is anything else, such as a number, or a type that is only declared.
    Other,
}

/// This is a part of a value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    pub(crate) type_: TypeId,
}

/// The number that tells which variant a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) offset: u64,
    /// How many bytes it takes: 1, 2, 4 or 8.
    pub(crate) bytes: u64,
}

/// One of the variants that a value can be.
#[derive(Debug)]
pub(crate) struct Variant {
    /// This is the tag's value for this variant. It is `None` for the variant that all other values stand for.
    pub(crate) tag: Option<u64>,
    pub(crate) member: Member,
    /// For a future: the place in the source where it waits in this variant.
    pub(crate) place: Option<Place>,
}

impl Function {
    fn memory_bytes(&self) -> usize {
        let macros = self.macros.iter().map(|(name, _)| size_of::<(Arc<str>, Place)>() + name.len());
        size_of::<Function>() + self.name.len() + macros.sum::<usize>()
    }
}

impl Type {
    /// Returns about how much memory it takes, in bytes.
    fn memory_bytes(&self) -> usize {
        let of_member = |member: &Member| size_of::<Member>() + member.name.len();
        let parts: usize = match &self.shape {
            Shape::Record(members) | Shape::Union(members) => members.iter().map(of_member).sum(),
            Shape::Choice { variants, .. } => {
                variants.iter().map(|variant| size_of::<Variant>() + variant.member.name.len()).sum()
            }
            _ => 0,
        };
        let arguments =
            self.arguments.iter().map(|(name, id)| size_of_val(name) + size_of_val(id) + name.len());
        size_of::<Type>() + self.name.len() + parts + arguments.sum::<usize>()
    }

    /// Returns the member called `name` of a record.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| &*member.name == name)
    }

    /// Returns the members of a record. Other types have none.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.shape {
            Shape::Record(members) => members,
            _ => &[],
        }
    }

    /// Whether it is the future of an `async fn`, an `async` block or an `async` closure.
    pub(crate) fn is_async(&self) -> bool {
        self.name.starts_with("{async_") && self.name.contains("_env#")
    }

    /// Returns the generic argument for the parameter `name`.
    pub(crate) fn argument(&self, name: &str) -> Option<TypeId> {
        self.arguments.iter().find(|(parameter, _)| &**parameter == name).map(|&(_, argument)| argument)
    }
}
