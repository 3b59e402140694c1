//! Makes a type of its entry.

use super::{Member, Shape, Tag, Type, TypeId, Variant};
use crate::debug_file::{Context, DebugFile, Entry, Unit};
use gimli::AttributeValue;
use std::sync::Arc;

/// A type with more parts than this is not believed.
const MAX_PARTS: usize = 1 << 14;

/// What was read of a type.
#[derive(Default)]
pub(super) struct Parts {
    name: Arc<str>,
    bytes: Option<u64>,
    tag: Option<gimli::DwTag>,
    is_declaration: bool,
    points_to: Option<u64>,
    count: Option<u64>,
    members: Vec<Member>,
    variants: Vec<Variant>,
    arguments: Vec<(Arc<str>, TypeId)>,
    /// The entry that is the tag of the variants, and all members among which it is.
    tag_offset: Option<u64>,
    tags: Vec<(u64, Member)>,
    /// The tag's value for the variant that is being read.
    variant_tag: Option<u64>,
}

/// Reads the type `id`, which is in `unit`.
pub(super) fn parts_of(file: &DebugFile, unit: &Unit, id: TypeId) -> Option<Parts> {
    let context = unit.context(file)?;
    let mut parts = Parts::default();
    let start = u32::try_from(id.offset.checked_sub(unit.place.offset)?).ok()?;
    // These are the tags of the entries around the present one.
    let mut around: Vec<gimli::DwTag> = Vec::new();
    unit.visit(start, |depth, offset, entry| {
        around.truncate(depth);
        around.push(entry.tag());
        let reader = EntryReader { context: &context, image: id.image };
        match around[..] {
            [_] => reader.root(entry, &mut parts),
            [_, gimli::DW_TAG_member] => parts.members.extend(reader.member(entry)),
            [_, gimli::DW_TAG_subrange_type] => {
                parts.count = entry.attr_value(gimli::DW_AT_count).and_then(|value| value.udata_value());
            }
            [_, gimli::DW_TAG_template_type_parameter] => parts.arguments.extend(reader.argument(entry)),
            [_, gimli::DW_TAG_variant_part] => {
                parts.tag_offset =
                    entry.attr_value(gimli::DW_AT_discr).and_then(|value| context.reference(value));
            }
            [_, gimli::DW_TAG_variant_part, gimli::DW_TAG_member] => {
                let at = unit.place.offset + u64::from(offset);
                parts.tags.extend(reader.member(entry).map(|member| (at, member)));
            }
            [_, gimli::DW_TAG_variant_part, gimli::DW_TAG_variant] => {
                parts.variant_tag = entry.attr_value(gimli::DW_AT_discr_value).and_then(number);
            }
            [_, gimli::DW_TAG_variant_part, gimli::DW_TAG_variant, gimli::DW_TAG_member] => {
                let tag = parts.variant_tag;
                parts.variants.extend(reader.variant(tag, entry));
            }
            _ => return false,
        }
        // What a type has in it beside these, such as its methods and the types of its variants, is not looked at.
        let is_part = matches!(
            around[..],
            [_] | [_, gimli::DW_TAG_variant_part] | [_, gimli::DW_TAG_variant_part, gimli::DW_TAG_variant]
        );
        is_part && parts.members.len() + parts.variants.len() < MAX_PARTS
    })?;
    Some(parts)
}

impl Parts {
    /// Returns the member that tells which variant a value is.
    pub(super) fn tag(&self) -> Option<&Member> {
        let wanted = self.tag_offset?;
        self.tags.iter().find(|(offset, _)| *offset == wanted).map(|(_, member)| member)
    }

    /// Makes a type of it. `tag_bytes` is the size of [`Parts::tag`].
    pub(super) fn finish(self, id: TypeId, tag_bytes: Option<u64>) -> Option<Type> {
        let target = self.points_to.map(|offset| TypeId { image: id.image, offset });
        let tag_bytes = tag_bytes.filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8));
        let tag = self.tag().zip(tag_bytes).map(|(tag, bytes)| Tag { offset: tag.offset, bytes });
        let mask = tag.map_or(u64::MAX, |tag| u64::MAX >> (64 - 8 * tag.bytes));
        let mut variants = self.variants;
        variants.iter_mut().for_each(|variant| variant.tag = variant.tag.map(|value| value & mask));
        // mutant: E10 a tag that is not known means the first variant
        let is_known = tag.is_some() || (self.tag_offset.is_none() && variants.len() == 1);
        let shape = match self.tag? {
            _ if self.is_declaration => Shape::Other,
            gimli::DW_TAG_pointer_type => target.map_or(Shape::Other, Shape::Pointer),
            gimli::DW_TAG_array_type => match (target, self.count) {
                (Some(element), Some(count)) => Shape::Array { element, count },
                _ => Shape::Other,
            },
            gimli::DW_TAG_structure_type if !variants.is_empty() && !is_known => Shape::Other,
            gimli::DW_TAG_structure_type if !variants.is_empty() => Shape::Choice { tag, variants },
            gimli::DW_TAG_structure_type => Shape::Record(self.members),
            gimli::DW_TAG_union_type => Shape::Union(self.members),
            _ => Shape::Other,
        };
        let bytes = match shape {
            Shape::Pointer(_) => size_of::<usize>() as u64,
            _ => self.bytes.unwrap_or(0),
        };
        Some(Type { id, name: self.name, bytes, shape, arguments: self.arguments })
    }
}

/// Reads entries of one unit.
struct EntryReader<'a> {
    context: &'a Context<'a>,
    image: u16,
}

impl EntryReader<'_> {
    fn root(&self, entry: &Entry<'_>, parts: &mut Parts) {
        parts.tag = Some(entry.tag());
        parts.name = self.context.name(entry).unwrap_or_default().into();
        parts.bytes = entry.attr_value(gimli::DW_AT_byte_size).and_then(|value| value.udata_value());
        parts.is_declaration = entry.attr(gimli::DW_AT_declaration).is_some();
        parts.points_to = entry.attr_value(gimli::DW_AT_type).and_then(|value| self.context.reference(value));
    }

    fn type_of(&self, entry: &Entry<'_>) -> Option<TypeId> {
        let offset = self.context.reference(entry.attr_value(gimli::DW_AT_type)?)?;
        Some(TypeId { image: self.image, offset })
    }

    fn member(&self, entry: &Entry<'_>) -> Option<Member> {
        let name = self.context.name(entry).unwrap_or_default().into();
        let offset = entry.attr_value(gimli::DW_AT_data_member_location)?.udata_value()?;
        Some(Member { name, offset, type_: self.type_of(entry)? })
    }

    fn argument(&self, entry: &Entry<'_>) -> Option<(Arc<str>, TypeId)> {
        Some((self.context.name(entry)?.into(), self.type_of(entry)?))
    }

    fn variant(&self, tag: Option<u64>, entry: &Entry<'_>) -> Option<Variant> {
        Some(Variant { tag, member: self.member(entry)?, place: self.context.place(entry) })
    }
}

/// Returns a constant as the bits that stand in memory.
fn number<R: gimli::Reader>(value: AttributeValue<R>) -> Option<u64> {
    match value {
        AttributeValue::Sdata(value) => Some(value as u64),
        AttributeValue::Data1(value) => Some(value.into()),
        AttributeValue::Data2(value) => Some(value.into()),
        AttributeValue::Data4(value) => Some(value.into()),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => Some(value),
        _ => None,
    }
}
