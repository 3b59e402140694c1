//! Finds the futures within a future that is written by hand: what it owns, boxes, or borrows for as long as it waits.

use super::chain::{Follower, MAX_DEPTH};
use crate::task::{AwaitFrame, End};
use crate::types::{Member, Shape, Type, TypeId};
use std::sync::Arc;

/// So many futures of a list are shown.
const MAX_LISTED: u64 = 64;

/// Types that only wrap what is in them. They are left out of the chain.
const WRAPPERS: [&str; 12] = [
    "(",
    "{closure_env#",
    "Option<",
    "MaybeDone<",
    "TryMaybeDone<",
    "ManuallyDrop<",
    "MaybeDangling<",
    "UnsafeCell<",
    "Cell<",
    "Flatten<",
    "OrderWrapper<",
    "AssertUnwindSafe<",
];

/// Where a future may be: the type, the address, and whether a future is known to be there.
#[derive(Clone, Copy)]
struct Spot {
    id: TypeId,
    address: u64,
    is_future: bool,
}

impl Follower<'_, '_> {
    /// Returns the future that a pinned, boxed or borrowed one is, if `type_` is such.
    pub(super) fn inside(&mut self, type_: &Type, address: u64) -> Result<Option<(TypeId, u64)>, End> {
        if type_.name.starts_with("Pin<")
            && let [pointer, ..] = type_.members()
        {
            return Ok(Some((pointer.type_, offset(address, pointer)?)));
        }
        if let Shape::Pointer(target) = type_.shape
            && is_owner(&type_.name)
        {
            return Ok(Some((target, self.pointer(address)?)));
        }
        let (Some(pointer), Some(table)) = (type_.member("pointer"), type_.member("vtable")) else {
            return Ok(None);
        };
        let pointer = self.pointer(offset(address, pointer)?)?;
        let table = self.pointer(offset(address, table)?)?;
        Ok(Some((self.implementor(table)?, pointer)))
    }

    /// Returns the type whose methods are in the table at `address`.
    fn implementor(&mut self, address: u64) -> Result<TypeId, End> {
        if let Some(&known) = self.types.implementors.get(&address) {
            return known;
        }
        let found = self.find_implementor(address);
        if found != Err(End::NoTypes) {
            self.types.implementors.insert(address, found);
        }
        found
    }

    fn find_implementor(&mut self, address: u64) -> Result<TypeId, End> {
        let mut found: Option<Arc<Type>> = None;
        for table in self.types.method_tables_at(address) {
            let Some(id) = self.types.implementor(table) else { continue };
            let Some(type_) = self.types.get(id) else { continue };
            // Several units may describe the same table. But the compiler may also make one table of two that are alike.
            if let Some(other) = found.take() {
                if self.types.name(&other) != self.types.name(&type_) {
                    return Err(End::Ambiguous);
                }
                let is_better = matches!(other.shape, Shape::Other);
                found = Some(if is_better { type_ } else { other });
            } else {
                found = Some(type_);
            }
        }
        found.map(|type_| type_.id).ok_or(End::NoTypes)
    }

    fn pointer(&mut self, address: u64) -> Result<u64, End> {
        match self.trail.number(address, size_of::<usize>() as u64).ok_or(End::Unreadable)? {
            0 => Err(End::NotAValue),
            pointer => Ok(pointer),
        }
    }

    /// Returns the frames of the futures in `type_`, which is a future that is written by hand.
    pub(super) fn children(
        &mut self,
        type_: &Type,
        address: u64,
        depth: usize,
    ) -> Result<Vec<AwaitFrame>, End> {
        let mut found = Vec::new();
        self.parts(type_, Spot { id: type_.id, address, is_future: false }, depth, &mut found)?;
        Ok(found)
    }

    /// Adds the futures at `spot` to `found`.
    fn collect(&mut self, spot: Spot, depth: usize, found: &mut Vec<AwaitFrame>) -> Result<(), End> {
        if depth >= MAX_DEPTH {
            return Err(End::TooMany);
        }
        if !spot.is_future && !self.leads(spot.id, 0) {
            return Ok(());
        }
        let type_ = self.types.get(spot.id).ok_or(End::NoTypes)?;
        let is_wrapper = WRAPPERS.iter().any(|wrapper| type_.name.starts_with(wrapper))
            || matches!(type_.shape, Shape::Array { .. })
            || is_list(&type_);
        // What is borrowed by a closure has no name.
        if let Shape::Pointer(target) = type_.shape
            && (type_.name.is_empty() || is_wrapper_behind(&type_.name))
        {
            let address = self.pointer(spot.address)?;
            return self.collect(Spot { id: target, address, ..spot }, depth + 1, found);
        }
        if is_wrapper {
            return self.parts(&type_, spot, depth + 1, found);
        }
        found.push(self.future(spot.id, spot.address, depth + 1));
        Ok(())
    }

    /// Adds the futures among the parts of a value.
    fn parts(
        &mut self,
        type_: &Type,
        spot: Spot,
        depth: usize,
        found: &mut Vec<AwaitFrame>,
    ) -> Result<(), End> {
        if self.list(type_, spot.address, depth, found)? {
            return Ok(());
        }
        match &type_.shape {
            Shape::Record(members) => {
                let disabled = self.disabled(type_, spot.address)?;
                for member in members {
                    let is_list = matches!(&*member.name, "futures" | "_ref__futures");
                    let is_future = is_list && type_.name.starts_with("{closure_env#")
                        || spot.is_future && (type_.name.starts_with('(') || members.len() == 1);
                    let inner = Spot { id: member.type_, address: offset(spot.address, member)?, is_future };
                    let from = found.len();
                    self.collect(inner, depth, found)?;
                    if is_list && disabled != 0 {
                        drop_disabled(found, from, disabled);
                    }
                }
                Ok(())
            }
            Shape::Choice { .. } => {
                let variant = self.variant(type_, spot.address)?;
                let address = offset(spot.address, &variant.member)?;
                let is_future =
                    spot.is_future && &*variant.member.name != "Done" || &*variant.member.name == "Future";
                let id = variant.member.type_;
                let record = self.types.get(id).ok_or(End::NoTypes)?;
                for member in record.members() {
                    let inner = Spot { id: member.type_, address: offset(address, member)?, is_future };
                    self.collect(inner, depth, found)?;
                }
                Ok(())
            }
            &Shape::Array { element, count } => self.elements(element, spot.address, count, depth, found),
            _ => Ok(()),
        }
    }

    /// Returns the bits of the branches of a `select!` that it does not wait for any more, if `type_` is the closure of one.
    fn disabled(&mut self, type_: &Type, address: u64) -> Result<u64, End> {
        let Some(member) = type_.member("_ref__disabled") else { return Ok(0) };
        let at = self.pointer(offset(address, member)?)?;
        let Some(Shape::Pointer(target)) = self.types.get(member.type_).map(|type_| match type_.shape {
            Shape::Pointer(target) => Shape::Pointer(target),
            _ => Shape::Other,
        }) else {
            return Ok(0);
        };
        let bytes = self.types.get(target).map_or(0, |mask| mask.bytes);
        self.trail.number(at, bytes).ok_or(End::Unreadable)
    }

    /// Adds the futures of a vector, a boxed slice or a `FuturesUnordered`. False if `type_` is none of these.
    fn list(
        &mut self,
        type_: &Type,
        address: u64,
        depth: usize,
        found: &mut Vec<AwaitFrame>,
    ) -> Result<bool, End> {
        if type_.name.starts_with("Vec<") {
            let (Some(buffer), Some(length), Some(element)) =
                (type_.member("buf"), type_.member("len"), type_.argument("T"))
            else {
                return Ok(false);
            };
            let (at, _) = self.first_pointer(buffer.type_, 0).ok_or(End::NoTypes)?;
            let start = self.pointer(offset(address, buffer)?.wrapping_add(at))?;
            let length = self.trail.number(offset(address, length)?, 8).ok_or(End::Unreadable)?;
            self.elements(element, start, length, depth, found)?;
        } else if let (Some(data), Some(length)) = (type_.member("data_ptr"), type_.member("length")) {
            let Some(Shape::Pointer(element)) = self.types.get(data.type_).map(|data| match data.shape {
                Shape::Pointer(target) => Shape::Pointer(target),
                _ => Shape::Other,
            }) else {
                return Ok(false);
            };
            let start = self.pointer(offset(address, data)?)?;
            let length = self.trail.number(offset(address, length)?, 8).ok_or(End::Unreadable)?;
            self.elements(element, start, length, depth, found)?;
        } else if type_.name.starts_with("FuturesUnordered<") {
            self.linked(type_, address, depth, found)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn elements(
        &mut self,
        element: TypeId,
        start: u64,
        count: u64,
        depth: usize,
        found: &mut Vec<AwaitFrame>,
    ) -> Result<(), End> {
        let bytes = self.types.get(element).ok_or(End::NoTypes)?.bytes;
        for index in 0..count.min(MAX_LISTED) {
            let address = start.wrapping_add(index.wrapping_mul(bytes));
            self.collect(Spot { id: element, address, is_future: true }, depth, found)?;
        }
        if count > MAX_LISTED { Err(End::TooMany) } else { Ok(()) }
    }

    /// Adds the futures of a `FuturesUnordered`, which links the blocks that they are in.
    fn linked(
        &mut self,
        type_: &Type,
        address: u64,
        depth: usize,
        found: &mut Vec<AwaitFrame>,
    ) -> Result<(), End> {
        let head = type_.member("head_all").ok_or(End::NoTypes)?;
        let (at, block) = self.first_pointer(head.type_, 0).ok_or(End::NoTypes)?;
        let block = self.types.get(block).ok_or(End::NoTypes)?;
        let (Some(future), Some(next)) = (block.member("future"), block.member("next_all")) else {
            return Err(End::NoTypes);
        };
        let (next_at, _) = self.first_pointer(next.type_, 0).ok_or(End::NoTypes)?;
        let word = size_of::<usize>() as u64;
        let mut link = offset(address, head)?.wrapping_add(at);
        for _ in 0..MAX_LISTED {
            let node = self.trail.number(link, word).ok_or(End::Unreadable)?;
            if node == 0 {
                return Ok(());
            }
            let spot = Spot { id: future.type_, address: offset(node, future)?, is_future: true };
            self.collect(spot, depth, found)?;
            link = offset(node, next)?.wrapping_add(next_at);
        }
        Err(End::TooMany)
    }

    /// Finds the first pointer in a type: its offset, and the type that it points to.
    pub(super) fn first_pointer(&mut self, id: TypeId, depth: usize) -> Option<(u64, TypeId)> {
        let type_ = self.types.get(id).filter(|_| depth < 8)?;
        if let Shape::Pointer(target) = type_.shape {
            return Some((0, target));
        }
        type_.members().iter().find_map(|member| {
            let (within, target) = self.first_pointer(member.type_, depth + 1)?;
            Some((member.offset.checked_add(within)?, target))
        })
    }

    /// Whether values of a type may have futures in them that are worth showing: those of an `async fn`, or boxed ones.
    fn leads(&mut self, id: TypeId, depth: usize) -> bool {
        if let Some(&known) = self.types.leads.get(&id) {
            return known;
        }
        if depth >= MAX_DEPTH {
            return false;
        }
        let Some(type_) = self.types.get(id) else { return false };
        // A type that has itself in it leads nowhere by that.
        self.types.leads.insert(id, false);
        let leads = type_.is_async() || self.has_leading_part(&type_, depth + 1);
        self.types.leads.insert(id, leads);
        leads
    }

    fn has_leading_part(&mut self, type_: &Type, depth: usize) -> bool {
        if type_.member("vtable").is_some() && type_.member("pointer").is_some() {
            return type_.name.contains("dyn core::future::future::Future");
        }
        if type_.name.starts_with("Vec<") || type_.name.starts_with("FuturesUnordered<") {
            let argument = type_.argument("T").or_else(|| type_.argument("Fut"));
            return argument.is_some_and(|argument| self.leads(argument, depth));
        }
        if let Some(data) = type_.member("data_ptr") {
            let element = self.types.get(data.type_).map(|data| match data.shape {
                Shape::Pointer(element) => Some(element),
                _ => None,
            });
            return element.flatten().is_some_and(|element| self.leads(element, depth));
        }
        match &type_.shape {
            Shape::Record(members) => members.iter().any(|member| self.leads(member.type_, depth)),
            Shape::Choice { variants, .. } => {
                variants.iter().any(|variant| self.leads(variant.member.type_, depth))
            }
            &Shape::Pointer(target) => {
                (type_.name.is_empty() || is_owner(&type_.name)) && self.leads(target, depth)
            }
            &Shape::Array { element, .. } => self.leads(element, depth),
            Shape::Union(_) | Shape::Other => false,
        }
    }
}

/// Whether a pointer with this name owns what it points to, or borrows it exclusively.
fn is_owner(name: &str) -> bool {
    name.starts_with("alloc::boxed::Box<") || name.starts_with("&mut ")
}

/// Whether a pointer with this name leads to several futures.
fn is_wrapper_behind(name: &str) -> bool {
    name.starts_with("&mut (")
}

fn is_list(type_: &Type) -> bool {
    type_.name.starts_with("Vec<")
        || type_.name.starts_with("FuturesUnordered<")
        || type_.member("data_ptr").is_some()
}

fn offset(address: u64, member: &Member) -> Result<u64, End> {
    address.checked_add(member.offset).ok_or(End::NotAValue)
}

/// Removes the futures from `found`, beginning at `from`, whose bits are set in `disabled`.
fn drop_disabled(found: &mut Vec<AwaitFrame>, from: usize, disabled: u64) {
    let mut index = 0;
    let mut rest = found.split_off(from);
    rest.retain(|_| {
        let is_disabled = index < 64 && disabled >> index & 1 == 1;
        index += 1;
        !is_disabled
    });
    found.append(&mut rest);
}
