//! Follows a future to those that it waits for.

use super::trail::Trail;
use crate::memory::Masked;
use crate::task::{AwaitFrame, End, Kind, Place, Value};
use crate::types::{Function, Shape, Type, TypeId, Types, Variant};
use std::sync::Arc;

/// Futures are followed so deep into one another.
pub(super) const MAX_DEPTH: usize = 24;
/// So many futures are shown of one task.
const MAX_FRAMES: usize = 256;

/// Follows the futures of one task.
pub(super) struct Follower<'a, 'm> {
    pub(super) types: &'a mut Types,
    pub(super) trail: &'a mut Trail<'m>,
    frames: usize,
}

impl<'a, 'm> Follower<'a, 'm> {
    pub(super) fn new(types: &'a mut Types, trail: &'a mut Trail<'m>) -> Follower<'a, 'm> {
        Follower { types, trail, frames: 0 }
    }

    /// Returns the variant that the value of an enum at `address` is.
    pub(super) fn variant<'t>(&mut self, type_: &'t Type, address: u64) -> Result<&'t Variant, End> {
        let Shape::Choice { tag, variants } = &type_.shape else { return Err(End::NoTypes) };
        let Some(tag) = tag else { return variants.first().ok_or(End::NoTypes) };
        // mutant: E10 the tag of a variant is where the value begins
        let at = address.checked_add(tag.offset).ok_or(End::NotAValue)?;
        let value = self.trail.number(at, tag.bytes).ok_or(End::Unreadable)?;
        let exact = variants.iter().find(|variant| variant.tag == Some(value));
        exact.or_else(|| variants.iter().find(|variant| variant.tag.is_none())).ok_or(End::NotAValue)
    }

    /// Returns the frame of the future of type `id` at `address`.
    pub(super) fn future(&mut self, id: TypeId, address: u64, depth: usize) -> AwaitFrame {
        self.frames += 1;
        if depth >= MAX_DEPTH || self.frames > MAX_FRAMES {
            return self.named(id, End::TooMany);
        }
        let Some(type_) = self.types.get(id) else {
            return AwaitFrame { end: Some(End::NoTypes), ..AwaitFrame::bare(Kind::Other) };
        };
        if type_.is_async() {
            return self.async_function(&type_, address, depth);
        }
        match self.inside(&type_, address) {
            Ok(Some((id, address))) => {
                let bytes = self.types.get(id).map_or(0, |type_| type_.bytes);
                self.trail.copy(address, bytes);
                self.future(id, address, depth + 1)
            }
            Ok(None) => {
                let function = self.types.name(&type_);
                let value = Some(Value { type_: (id.image, id.offset), address: Masked::of(address) });
                let mut frame = AwaitFrame { function, value, ..AwaitFrame::bare(Kind::Other) };
                match self.children(&type_, address, depth + 1) {
                    Ok(children) => frame.children = children,
                    Err(end) => frame.end = Some(end),
                }
                frame
            }
            Err(end) => self.named(id, end),
        }
    }

    fn named(&mut self, id: TypeId, end: End) -> AwaitFrame {
        let name = self.types.get(id).map(|type_| self.types.name(&type_));
        AwaitFrame { function: name.unwrap_or_default(), end: Some(end), ..AwaitFrame::bare(Kind::Other) }
    }

    /// Returns the frame of the future of an `async fn`, block or closure.
    fn async_function(&mut self, type_: &Type, address: u64, depth: usize) -> AwaitFrame {
        let function = self.types.function(type_);
        let mut frame = AwaitFrame {
            function: function.name.clone(),
            code: function.code,
            begins: unresumed(type_).and_then(|variant| variant.place.clone()),
            ..AwaitFrame::bare(Kind::Async)
        };
        let variant = match self.variant(type_, address) {
            Ok(variant) => variant,
            Err(end) => return AwaitFrame { end: Some(end), ..frame },
        };
        frame.kind = match &*variant.member.name {
            "0" => Kind::Unresumed,
            "1" => Kind::Returned,
            "2" => Kind::Panicked,
            _ => Kind::Async,
        };
        frame.place = self.line_of_macro(&frame, &function, variant).or_else(|| variant.place.clone());
        if frame.kind == Kind::Async {
            match self.awaitee(variant, address) {
                Ok((id, address)) => frame.children = vec![self.future(id, address, depth + 1)],
                Err(end) => frame.end = Some(end),
            }
        }
        frame
    }

    /// Returns the line of a macro such as `select!`, which has its `.await` in a file of its own. The futures that it waits for are
    /// in a variable, whose line is the author's.
    fn line_of_macro(&mut self, frame: &AwaitFrame, function: &Function, variant: &Variant) -> Option<Place> {
        let file = &frame.begins.as_ref()?.file;
        if variant.place.as_ref()?.file == *file {
            return None;
        }
        let suspended = self.types.get(variant.member.type_)?;
        let futures = suspended.member("futures")?.type_;
        let futures = self.types.get(futures)?;
        let is_it = |(name, place): &&(Arc<str>, Place)| *name == futures.name && place.file == *file;
        let mut places = function.macros.iter().filter(is_it).map(|(_, place)| place);
        let first = places.next()?;
        // Two calls in one function may wait for futures of the same types.
        places.all(|other| other == first).then(|| first.clone())
    }

    /// Returns the type and the address of what is awaited in a variant.
    fn awaitee(&mut self, variant: &Variant, address: u64) -> Result<(TypeId, u64), End> {
        let suspended = self.types.get(variant.member.type_).ok_or(End::NoTypes)?;
        let awaitee = suspended.member("__awaitee").ok_or(End::NoTypes)?;
        let address = address.checked_add(variant.member.offset).ok_or(End::NotAValue)?;
        Ok((awaitee.type_, address.checked_add(awaitee.offset).ok_or(End::NotAValue)?))
    }
}

fn unresumed(type_: &Type) -> Option<&Variant> {
    match &type_.shape {
        Shape::Choice { variants, .. } => variants.iter().find(|variant| &*variant.member.name == "0"),
        _ => None,
    }
}

impl AwaitFrame {
    /// Returns a frame of which nothing is known.
    pub(super) fn bare(kind: Kind) -> AwaitFrame {
        AwaitFrame {
            function: "".into(),
            kind,
            place: None,
            begins: None,
            code: None,
            children: Vec::new(),
            end: None,
            value: None,
        }
    }
}
