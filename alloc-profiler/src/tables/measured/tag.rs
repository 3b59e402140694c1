//! Which measurements a block belongs to, in one number of 31 bits and a mark.
//!
//! Path: *allocation path*, measured blocks only.

use crate::tables::live::LiveSample;

const IS_TAG: u32 = 1 << 31;
const SLOT_SHIFT: u32 = 24;
const EPOCH_SHIFT: u32 = 16;
/// The highest number of a slot. Slot 0 stands for threads that only a measurement of the process measures.
pub(crate) const MAX_SLOT: u32 = (IS_TAG >> SLOT_SHIFT) - 1;
/// The highest number of a measurement within its slot.
pub(crate) const MAX_NUMBER: u32 = (1 << EPOCH_SHIFT) - 1;
/// The highest number of a measurement of the process.
pub(crate) const MAX_EPOCH: u32 = (1 << (SLOT_SHIFT - EPOCH_SHIFT)) - 1;

/// The slot of the thread that allocated the block, the last measurement that had begun in that slot, and the measurement of
/// the process, if one ran.
///
/// A sample that is certain has no use for the number of a snapshot. So the tag stands in its place, and a record is no larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    pub(super) fn new(slot: u32, epoch: u32, number: u32) -> Tag {
        Tag(IS_TAG | slot.wrapping_shl(SLOT_SHIFT) | epoch.wrapping_shl(EPOCH_SHIFT) | number)
    }

    /// Returns the tag of a block, or `None` if no measurement counted it.
    pub(crate) fn of(sample: &LiveSample) -> Option<Tag> {
        // Numbers of snapshots stay below the mark.
        (!sample.is_uncertain() && sample.after_snapshot & IS_TAG != 0).then_some(Tag(sample.after_snapshot))
    }

    /// Returns what stands in a record in place of the number of a snapshot.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn slot(self) -> u32 {
        (self.0 & !IS_TAG) >> SLOT_SHIFT
    }

    pub(crate) fn epoch(self) -> u32 {
        self.0 >> EPOCH_SHIFT & MAX_EPOCH
    }

    pub(crate) fn number(self) -> u32 {
        self.0 & MAX_NUMBER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_the_number_of_a_snapshot() {
        let sample = |weight: f64, after_snapshot: u32| LiveSample {
            address: 16,
            size: 1,
            weight,
            site_id: 0,
            born: 0,
            after_snapshot,
        };
        for (slot, epoch, number) in [(0, 1, 0), (MAX_SLOT, MAX_EPOCH, MAX_NUMBER), (5, 0, 7)] {
            let tag = Tag::new(slot, epoch, number);
            assert_eq!((tag.slot(), tag.epoch(), tag.number()), (slot, epoch, number));
            assert_eq!(Tag::of(&sample(1.0, tag.bits())), Some(tag));
            assert_eq!(Tag::of(&sample(1.5, tag.bits())), None);
        }
        assert_eq!(Tag::of(&sample(1.0, IS_TAG - 1)), None);
    }
}
