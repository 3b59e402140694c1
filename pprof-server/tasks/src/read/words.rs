//! The words of a value: which fields lead to one, and what it points to.

use super::chain::Follower;
use super::trail::Trail;
use crate::memory::{Masked, Memory};
use crate::typed::{Extent, Typed, Word};
use crate::types::{Member, Shape, Type, TypeId, Types};

/// Types are followed so deep into one another.
const MAX_DEPTH: usize = 64;
/// A node of a B-tree has so many children.
const CHILDREN: u64 = 12;
const WORD_BYTES: u64 = 8;
/// The fields of what these crates define are left out: nobody but their authors knows them.
const LIBRARIES: [&str; 25] = [
    "alloc",
    "arc_swap",
    "bytes",
    "core",
    "crossbeam",
    "crossbeam_channel",
    "crossbeam_queue",
    "dashmap",
    "futures_channel",
    "futures_util",
    "hashbrown",
    "indexmap",
    "lock_api",
    "lru",
    "mini_moka",
    "moka",
    "once_cell",
    "parking_lot",
    "quick_cache",
    "scc",
    "slab",
    "smallvec",
    "std",
    "tokio",
    "tokio_util",
];

/// Tells what the word at `address` is, which lies in `typed` and points to `target`.
pub(crate) fn word(
    types: &mut Types,
    memory: &dyn Memory,
    typed: Typed,
    address: u64,
    target: u64,
) -> Option<Word> {
    let mut trail = Trail::new(memory);
    let mut words =
        Words { follower: Follower::new(types, &mut trail), fields: Vec::new(), place: address, target };
    let target = match words.element(typed)? {
        Element::Value(type_, at) => words.follow(type_, at, 0)?,
        Element::Child => Some(Typed { extent: Extent::One, at: Masked::of(target), ..typed }),
    };
    Some(Word { fields: words.fields.join("."), target })
}

/// What a word lies in.
enum Element {
    /// It is a value of this type, which begins there.
    Value(TypeId, u64),
    /// It is the list of the children of a B-tree's node. The standard library points to inner nodes as to leaves.
    Child,
}

struct Words<'a, 'm> {
    follower: Follower<'a, 'm>,
    fields: Vec<String>,
    /// Where the word is, and what it points to.
    place: u64,
    target: u64,
}

impl Words<'_, '_> {
    /// Finds the value that has the word.
    fn element(&mut self, typed: Typed) -> Option<Element> {
        let (at, type_) = (typed.at.address(), self.follower.types.get(typed.type_)?);
        let bytes = self.follower.types.value_bytes(typed.type_);
        let start = match typed.extent {
            Extent::One => {
                let within = self.place.checked_sub(at)?;
                let is_child = type_.name.starts_with("LeafNode<")
                    && within.checked_sub(bytes).is_some_and(|within| within < CHILDREN * WORD_BYTES);
                if is_child {
                    return Some(Element::Child);
                }
                (within < bytes).then_some(at)?
            }
            Extent::Upwards => self.place - self.place.checked_sub(at)?.checked_rem(bytes)?,
            Extent::Downwards => {
                // mutant: H14 the elements of a hash table lie above its address
                let below = at.checked_sub(self.place)?.checked_sub(1)?.checked_div(bytes)?;
                at.checked_sub(below.checked_add(1)?.checked_mul(bytes)?)?
            }
        };
        Some(Element::Value(typed.type_, start))
    }

    /// Follows the value of type `id` at `at` down to the word. Returns what that points to. It is `None` if there is no pointer, and
    /// `Some(None)` if it is not known of which type it is.
    fn follow(&mut self, id: TypeId, at: u64, depth: usize) -> Option<Option<Typed>> {
        let type_ = self.follower.types.get(id).filter(|_| depth < MAX_DEPTH)?;
        if let Some((element, extent)) = self.elements(&type_) {
            return Some(Some(self.target_of(element, extent)));
        }
        match &type_.shape {
            &Shape::Pointer(target) => {
                (self.place == at).then_some(Some(self.target_of(target, Extent::One)))
            }
            Shape::Record(members) => {
                if let Some(target) = self.wide_pointer(&type_, at) {
                    return target;
                }
                let member = members.iter().find(|member| self.has_word(member, at))?;
                self.note(&type_, member);
                self.follow(member.type_, at.checked_add(member.offset)?, depth + 1)
            }
            Shape::Union(members) => {
                // Those of the standard library have a value, or what makes it; and what is made holds it.
                let value =
                    members.iter().find(|member| &*member.name == "value").or(match &members[..] {
                        [only] => Some(only),
                        _ => None,
                    })?;
                self.follow(value.type_, at.checked_add(value.offset)?, depth + 1)
            }
            Shape::Choice { .. } => {
                let member = self.follower.variant(&type_, at).ok()?.member.clone();
                self.follow(member.type_, at.checked_add(member.offset)?, depth + 1)
            }
            &Shape::Array { element, .. } => {
                let bytes = self.follower.types.value_bytes(element);
                let start = self.place - self.place.checked_sub(at)?.checked_rem(bytes)?;
                self.follow(element, start, depth + 1)
            }
            Shape::Other => None,
        }
    }

    fn target_of(&self, type_: TypeId, extent: Extent) -> Typed {
        Typed { type_, extent, at: Masked::of(self.target) }
    }

    /// Returns what a pointer to a slice or to a value behind a table of methods leads to, if `type_` is such and the word is its
    /// address.
    fn wide_pointer(&mut self, type_: &Type, at: u64) -> Option<Option<Option<Typed>>> {
        let slice = type_.member("data_ptr").or_else(|| type_.member("pointer"))?;
        type_.member("length").or_else(|| type_.member("vtable"))?;
        if !type_.name.starts_with(['&', '*']) && !type_.name.starts_with("alloc::boxed::Box<") {
            return None;
        }
        // Before what is behind an `Arc` are its counts.
        if ["ArcInner<", "RcInner<", "RcBox<"].iter().any(|counted| type_.name.contains(counted)) {
            return Some(Some(None));
        }
        if at.checked_add(slice.offset)? != self.place {
            return Some(None);
        }
        if type_.member("length").is_some() {
            let element = match self.follower.types.get(slice.type_)?.shape {
                Shape::Pointer(element) => element,
                _ => return Some(Some(None)),
            };
            return Some(Some(Some(self.target_of(element, Extent::Upwards))));
        }
        let implementor = self.follower.inside(type_, at).ok().flatten();
        Some(Some(implementor.map(|(implementor, _)| self.target_of(implementor, Extent::One))))
    }

    fn has_word(&mut self, member: &Member, at: u64) -> bool {
        let bytes = self.follower.types.value_bytes(member.type_);
        let within = self.place.checked_sub(at).and_then(|within| within.checked_sub(member.offset));
        within.is_some_and(|within| within < bytes)
    }

    /// Notes the field if the author of the program wrote it.
    fn note(&mut self, type_: &Type, member: &Member) {
        let name = self.follower.types.name(type_);
        let krate = name.split("::").next().unwrap_or_default();
        let is_written = name.contains("::") && !name.starts_with(['(', '&', '*', '[', '{']);
        if is_written && !LIBRARIES.contains(&krate) {
            let number =
                member.name.strip_prefix("__").filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
            self.fields.push(number.unwrap_or(&member.name).to_owned());
        }
    }

    /// Returns what is behind the only pointer of the standard library's buffers, which have lost its type.
    fn elements(&mut self, type_: &Type) -> Option<(TypeId, Extent)> {
        let extent = match &*type_.name {
            name if name.starts_with("RawVec<") => Extent::Upwards,
            name if name.starts_with("RawTable<") => Extent::Downwards,
            _ => return None,
        };
        let name = self.follower.types.name(type_);
        let is_known = name.starts_with("alloc::") || name.starts_with("hashbrown::");
        Some((type_.argument("T")?, extent)).filter(|_| is_known)
    }
}
