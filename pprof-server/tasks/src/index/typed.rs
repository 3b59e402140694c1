//! What is known of memory whose type is known.

use super::TypeIndex;
use crate::memory::{Masked, Memory};
use crate::read;
use crate::typed::{Extent, Typed, Word};
use crate::types::{Shape, TypeId, short};

/// Arrays of arrays are named so deep.
const MAX_DEPTH: usize = 8;

impl TypeIndex {
    /// Returns the static variable that has `address` in it.
    pub fn static_at(&mut self, address: u64) -> Option<Typed> {
        let (type_, start) = self.types.static_at(address)?;
        Some(Typed { type_, extent: Extent::One, at: Masked::of(start) })
    }

    /// Returns the thread's own variable that has `address` in it. `place` is where that is among all variables that the thread has of the
    /// image which was loaded with this `bias`, in bytes from the first.
    pub fn thread_local_at(&mut self, bias: u64, place: u64, address: u64) -> Option<Typed> {
        let (type_, start) = self.types.thread_local_at(bias, place)?;
        Some(Typed { type_, extent: Extent::One, at: Masked::of(address.checked_sub(place - start)?) })
    }

    /// Tells what the word at `address` is, which lies in `typed` and points to `target`.
    ///
    /// It is `None` if the word does not lie there, or if the type has no pointer there.
    ///
    /// # Cost
    ///
    /// Some µs for a type that was seen before, and some milliseconds for another.
    pub fn word(&mut self, memory: &dyn Memory, typed: Typed, address: u64, target: u64) -> Option<Word> {
        read::word(&mut self.types, memory, typed, address, target)
    }

    /// Names the type of `typed` as people write it: `Mutex<Vec<Session>>`, or `[Session]` if there may be several.
    pub fn type_name(&mut self, typed: Typed) -> String {
        let name = self.name(typed.type_, 0);
        match typed.extent {
            Extent::One => name,
            Extent::Upwards | Extent::Downwards => format!("[{name}]"),
        }
    }

    fn name(&mut self, id: TypeId, depth: usize) -> String {
        let Some(type_) = self.types.get(id).filter(|_| depth < MAX_DEPTH) else { return "?".to_owned() };
        match type_.shape {
            // Debug information gives arrays no name.
            Shape::Array { element, count } => format!("[{}; {count}]", self.name(element, depth + 1)),
            _ => short(&self.types.name(&type_)),
        }
    }
}
