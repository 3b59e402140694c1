//! What leads from the block of a task to its type.

mod grade;
mod resting;
mod typed;

pub use grade::Grade;
pub use resting::RestingIndex;

use crate::debug_file::{DebugFile, ReadAt};
use crate::error::{IndexError, Unread};
use crate::memory::Memory;
use crate::read;
use crate::scan::{Found, scan};
use crate::task::{Block, Task};
use crate::types::Types;
use crate::types::store::ImageTypes;
use crate::wait::Waiting;
use std::time::{Duration, Instant};

/// So long all files together may take to be looked through, as a rule.
const TIME_BUDGET: Duration = Duration::from_secs(2);

/// A file of code that is loaded, and where its debug information is.
pub struct Image {
    /// The file that has the debug information: the program itself, or a file apart from it.
    pub debug: Box<dyn ReadAt>,
    /// What is added (modulo 2^64) to the addresses in the file to have those in memory.
    pub bias: u64,
    /// The package beside the file (`.dwp`), if there is one: `split-debuginfo = "packed"` puts most of the debug information there.
    pub package: Option<Box<dyn ReadAt>>,
}

/// Finds the types of tasks.
pub struct TypeIndex {
    pub(crate) types: Types,
}

impl TypeIndex {
    /// Looks through the debug information of `images` once.
    ///
    /// # Errors
    ///
    /// It is an error if none of the files can be read.
    ///
    /// # Cost
    ///
    /// It takes some 10 ms for each MiB of `.debug_info`, and 2 s at most. The largest unit is in memory meanwhile.
    pub fn of_images(images: Vec<Image>) -> Result<TypeIndex, IndexError> {
        TypeIndex::of_images_within(images, TIME_BUDGET)
    }

    /// Does the same, but may take as long as `budget`.
    ///
    /// # Errors
    ///
    /// It is an error if none of the files can be read.
    pub fn of_images_within(images: Vec<Image>, budget: Duration) -> Result<TypeIndex, IndexError> {
        let begun = Instant::now();
        TypeIndex::of_images_while(images, &|| begun.elapsed() < budget)
    }

    /// Does the same, but for as long as `may_go_on` says so. It is asked before each unit of debug information, which mostly take
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// It is an error if none of the files can be read.
    pub fn of_images_while(
        images: Vec<Image>,
        may_go_on: &dyn Fn() -> bool,
    ) -> Result<TypeIndex, IndexError> {
        let found = images.iter().map(|_| Vec::new()).collect();
        TypeIndex::going_on(images, found, may_go_on).map(|images| TypeIndex { types: Types::of(images) })
    }

    /// Goes on to look through `images` from what was `found` in each of them, and in its package.
    fn going_on(
        images: Vec<Image>,
        found: Vec<Vec<Found>>,
        may_go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<ImageTypes>, IndexError> {
        let mut all = Vec::new();
        let (mut failure, mut is_any_read) = (None, images.is_empty());
        for (number, (image, found)) in images.into_iter().zip(found).enumerate() {
            let mut found = found.into_iter();
            let file = match DebugFile::open(image.debug) {
                Ok(file) => {
                    is_any_read = true;
                    file
                }
                // It keeps its place, so that images have the same numbers when the index is used again.
                Err(error) => {
                    failure = failure.or(Some(error));
                    DebugFile::empty()
                }
            };
            let main = scan(&file, found.next().unwrap_or_default(), may_go_on);
            // Without all skeletons, units of the package would be left out.
            let package = image.package.filter(|_| main.is_of_whole(&file) && !main.skeletons.is_empty());
            let package =
                package.and_then(|package| DebugFile::of_package(&file, package, &main.skeletons).ok());
            let of = |file, found| ImageTypes { number, file, bias: image.bias, found };
            all.push(of(file, main));
            all.extend(package.map(|file| {
                let found = scan(&file, found.next().unwrap_or_default(), may_go_on);
                of(file, found)
            }));
        }
        failure.filter(|_| !is_any_read).map_or(Ok(all), Err)
    }

    /// Closes the files, and keeps what was found in them, for another time.
    pub fn rest(self) -> RestingIndex {
        RestingIndex::of(self.types)
    }

    /// Returns how much the debug information says of tasks.
    pub fn grade(&self) -> Grade {
        Grade::of(self.types.images.iter().map(|image| &image.found))
    }

    /// Whether debug information of the program is in files of its own that are not read. `split-debuginfo = "off"` in the profile
    /// puts it into the program, and `"packed"` into a package that is read if it is given.
    pub fn is_split(&self) -> bool {
        let images = &self.types.images;
        let skeletons: usize = images.iter().map(|image| image.found.skeletons.len()).sum();
        !self.is_unfinished() && skeletons > images.iter().map(|image| image.file.packed_units()).sum()
    }

    /// Whether some debug information was left out, because it makes no sense or is too large.
    pub fn is_broken(&self) -> bool {
        self.types.images.iter().any(|image| image.found.is_broken)
    }

    /// Whether there was no time to look through all debug information. [`rest`](Self::rest) and [`RestingIndex::wake`] go on with it.
    pub fn is_unfinished(&self) -> bool {
        self.types.images.iter().any(|image| !image.found.is_of_whole(&image.file))
    }

    /// Reads the task in `block`.
    ///
    /// The block may be anything, and may be freed and used anew meanwhile. Whoever knows which blocks are alive should look
    /// before and after whether this one is still the same: a new task at the same address is read as what it is.
    ///
    /// # Errors
    ///
    /// [`Unread`] says why the task cannot be read now, or cannot be read at all.
    ///
    /// # Cost
    ///
    /// Some 10 µs for a type that was seen before, and some milliseconds for another.
    pub fn read(&mut self, memory: &dyn Memory, block: Block) -> Result<Task, Unread> {
        read::task(&mut self.types, memory, block)
    }

    /// Reads the task in `block` as [`read`](Self::read) does, and what it waits for.
    ///
    /// # Errors
    ///
    /// They are those of [`read`](Self::read).
    ///
    /// # Cost
    ///
    /// It is that of [`read`](Self::read), and that of some more words for each future that is the last of its branch.
    pub fn read_waiting(&mut self, memory: &dyn Memory, block: Block) -> Result<Waiting, Unread> {
        read::waiting(&mut self.types, memory, block)
    }

    /// Gives back most of the memory. What was found out about types that were seen stays.
    pub fn forget_units(&mut self) {
        self.types.forget_units();
    }
}
