//! Memory whose type is known, from a variable on: what lies in a variable, and what pointers in it lead to.

use crate::memory::Masked;
use crate::types::TypeId;

/// Memory of a known type: a variable, or what a pointer of a known type leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Typed {
    pub(crate) type_: TypeId,
    pub(crate) extent: Extent,
    pub(crate) at: Masked,
}

/// How many values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// There is one.
    One,
    /// There are some, one after another, and the first begins there.
    Upwards,
    /// There are some, one after another, and the last ends there: so a hash table has them.
    Downwards,
}

/// What a word in memory of a known type is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Word {
    /// The fields that lead to it, as the author of the program wrote them, such as `inner.table`. Fields of the types of libraries are left
    /// out, so it may be empty.
    pub fields: String,
    /// What it points to; `None` if the types do not say.
    pub target: Option<Typed>,
}
