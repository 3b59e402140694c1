//! What was found in debug information, without the files that it was found in.

use super::{Image, TypeIndex};
use crate::error::IndexError;
use crate::scan::Found;
use crate::types::Types;

/// Types that were read are kept only if they take no more than this, in bytes: they are read again in milliseconds.
const MAX_TYPES_BYTES: usize = 4 << 20;

/// An index that is not in use. It has no file open: a program may close files that it does not know, and another file then has the
/// number.
pub struct RestingIndex {
    /// This has everything but its images.
    types: Types,
    /// What was found in each image, and in its package.
    found: Vec<Vec<Found>>,
}

impl RestingIndex {
    pub(super) fn of(mut types: Types) -> RestingIndex {
        types.forget_units();
        let mut found: Vec<Vec<Found>> = Vec::new();
        for image in types.images.drain(..) {
            found.resize_with(image.number + 1, Vec::new);
            found[image.number].push(image.found);
        }
        if types.memory_bytes() > MAX_TYPES_BYTES {
            types = Types::default();
        }
        RestingIndex { types, found }
    }

    /// Returns another index like it. Types are read anew, which takes milliseconds.
    #[must_use]
    pub fn copy(&self) -> RestingIndex {
        RestingIndex { types: Types::default(), found: self.found.clone() }
    }

    /// Returns about how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.types.memory_bytes() + self.found.iter().flatten().map(Found::memory_bytes).sum::<usize>()
    }

    /// Makes an index of it again. `images` must be those that the index was made of, in the same order and with the same contents.
    /// Where there was no time for all debug information, the search goes on, for as long as `may_go_on` says so.
    ///
    /// # Errors
    ///
    /// It is an error if none of the files can be read, as when the index was made.
    ///
    /// # Cost
    ///
    /// It reads the headers of the sections, and inflates those that are compressed.
    pub fn wake(mut self, images: Vec<Image>, may_go_on: &dyn Fn() -> bool) -> Result<TypeIndex, IndexError> {
        if images.len() != self.found.len() {
            return TypeIndex::of_images_while(images, may_go_on);
        }
        let extent = |found: &mut dyn Iterator<Item = &Found>| {
            found.map(|found| found.scanned_bytes).collect::<Vec<_>>()
        };
        let before = extent(&mut self.found.iter().flatten());
        let images = TypeIndex::going_on(images, self.found, may_go_on)?;
        if extent(&mut images.iter().map(|image| &image.found)) == before {
            self.types.images = images;
        } else {
            // What was concluded from a part may be otherwise, now that there is more.
            self.types = Types::of(images);
        }
        Ok(TypeIndex { types: self.types })
    }
}
