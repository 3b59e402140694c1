//! This notes which image an address was in when its stack was taken, so that it is never named after another image
//! that lies there later.
//!
//! An *image* is a loaded object: the program or a library. Code of a library that may be unloaded is no longer there when a
//! profile is read, or other code is. So its addresses carry the number of their image ([`CodeAddress`]). Stacks that are
//! the same but for an image that took another's place are thereby two stacks, and readers can tell. An image is known by
//! its place and its first page, which has the ELF header, the program headers and the build id.
//!
//! A number is given when a stack first meets an image, by a table that only grows, without a lock. Addresses in images
//! that stay carry no number.
//!
//! Path: *allocation path*, and of it only frames in such images; [`images`] is on the read path.
//!
//! [`CodeAddress`]: crate::CodeAddress

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::atomic_ref::AtomicRef;
use crate::hash;
use crate::store;

/// Images that are told apart. Each time that another one takes a place counts as one.
const MAX_IMAGES: usize = 1 << 10;
/// Slots that are looked at for an image.
const PROBES: usize = 64;
/// The longest path that is kept.
const PATH_BYTES: usize = 1024;

static IMAGES: [AtomicRef<Image>; MAX_IMAGES] = [const { AtomicRef::none() }; MAX_IMAGES];
static HAS_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// The number of an image that may be unloaded, from 1 on. No other image has it as long as the process runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(u16);

impl ImageId {
    /// Any image that the table has no room for.
    pub const UNKNOWN: ImageId = ImageId(MAX_IMAGES as u16 + 1);
    /// Code in no image, such as a just-in-time compiler's: what lies there later is something else. [`images`] does not
    /// list it.
    pub const NOWHERE: ImageId = ImageId(MAX_IMAGES as u16 + 2);
    pub(crate) const LAST_NUMBER: u16 = ImageId::NOWHERE.0;

    pub(crate) const fn of_number(number: u16) -> Option<ImageId> {
        if number != 0 && number <= ImageId::LAST_NUMBER { Some(ImageId(number)) } else { None }
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    /// Whether it stands for one image, which the table has.
    pub(crate) fn is_known(self) -> bool {
        self < ImageId::UNKNOWN
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ImageId::UNKNOWN => formatter.write_str("an unknown image"),
            ImageId::NOWHERE => formatter.write_str("no image"),
            ImageId(number) => write!(formatter, "image {number}"),
        }
    }
}

/// An image that may be unloaded and in which a stack was taken, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// What [`CodeAddress::image`](crate::CodeAddress::image) returns for addresses in it.
    pub id: ImageId,
    /// Tells the address of its first byte.
    pub start: usize,
    /// Tells the address after its last byte.
    pub end: usize,
    /// Tells what the loader added to the addresses in its file, in bytes.
    pub load_bias: usize,
    /// Tells its first page from others: see [`page_fingerprint`].
    pub fingerprint: u64,
    /// The path of its file, as the loader has it; empty if it is unknown. At most 1024 bytes of it are kept.
    pub path: &'static [u8],
}

/// All images that may be unloaded and in which stacks were taken, whether they are still loaded or not.
///
/// If there were more than 1024, one more entry stands for all others: [`ImageId::UNKNOWN`].
///
/// Cost: it loads one word for each of 1024 slots.
pub fn images() -> impl Iterator<Item = Image> {
    let unknown = Image {
        id: ImageId::UNKNOWN,
        start: 0,
        end: (1_u64 << 48).wrapping_sub(1) as usize,
        load_bias: 0,
        fingerprint: 0,
        path: b"[unknown library]",
    };
    let known = IMAGES.iter().filter_map(|slot| slot.load().copied());
    known.chain(HAS_UNKNOWN.load(Relaxed).then_some(unknown))
}

/// Where the program's own code begins to run: an address in its file, whichever file the kernel was told to run. (With
/// `/lib64/ld-linux-x86-64.so.2 ./app` the kernel was told to run the loader's.) 0 where the system does not tell.
#[must_use]
pub fn program_entry() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: asks for a number.
    return unsafe { libc::getauxval(libc::AT_ENTRY) } as usize;
    #[cfg(not(target_os = "linux"))]
    0
}

/// Tells files and builds apart by the first page of their image in memory, 4096 bytes.
#[must_use]
pub fn page_fingerprint(page: &[u8]) -> u64 {
    let (words, rest) = page.as_chunks::<8>();
    // There are eight lanes because in one, each step would wait for the one before.
    let mut lanes = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    for words in words.chunks(lanes.len()) {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = hash::add(*lane, u64::from_le_bytes(*word));
        }
    }
    let hash = rest.iter().fold(0, |hash, byte| hash::add(hash, u64::from(*byte)));
    lanes.into_iter().fold(hash, hash::add)
}

/// An image that a walk has come to.
#[derive(Clone, Copy)]
pub(crate) struct Met {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) load_bias: usize,
    pub(crate) fingerprint: u64,
}

/// The number of the image that was met. `path` is asked for if the image is new.
pub(crate) fn id_of<'a>(met: &Met, path: impl Fn() -> &'a [u8]) -> ImageId {
    let hash = hash::multiply(met.start as u64 ^ met.fingerprint);
    for probe in 0..PROBES {
        let index = ((hash >> 32) as usize).wrapping_add(probe) & (MAX_IMAGES - 1);
        let Some(slot) = IMAGES.get(index) else { break };
        let known = slot.load().or_else(|| add(slot, index, met, path()));
        match known {
            Some(known) if known.start == met.start && known.fingerprint == met.fingerprint => {
                return known.id;
            }
            Some(_) => {}
            None => break,
        }
    }
    HAS_UNKNOWN.store(true, Relaxed);
    ImageId::UNKNOWN
}

/// Which image `slot` has now: `met`, or one that came first.
#[cold]
fn add(slot: &AtomicRef<Image>, index: usize, met: &Met, path: &[u8]) -> Option<&'static Image> {
    let Met { start, end, load_bias, fingerprint } = *met;
    let path = store::copy(path.get(..PATH_BYTES).unwrap_or(path))?;
    let id = ImageId((index as u16).wrapping_add(1));
    let image = store::place(Image { id, start, end, load_bias, fingerprint, path })?;
    match slot.replace(None, image) {
        Ok(()) => Some(image),
        Err(theirs) => theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(start: usize, fingerprint: u64) -> Met {
        Met { start, end: start + 4096, load_bias: start, fingerprint }
    }

    #[test]
    fn each_image_has_its_number_until_there_are_too_many() {
        let first = id_of(&met(0x7000_0000, 1), || b"/lib/first.so");
        assert_eq!(id_of(&met(0x7000_0000, 1), || b"not asked"), first);
        let second = id_of(&met(0x7000_0000, 2), || b"/lib/second.so");
        assert_ne!(first, second, "another one at the same place");
        assert_ne!(id_of(&met(0x7000_1000, 1), || b""), first, "the same one elsewhere");
        assert!(images().any(|image| image.id == first && image.path == b"/lib/first.so"));
        assert!(!images().any(|image| image.id == ImageId::UNKNOWN));
        assert!([first, second].iter().all(|id| id.is_known()));

        let numbers: Vec<ImageId> = (0..4 * MAX_IMAGES).map(|n| id_of(&met(n << 12, 3), || b"")).collect();
        let unknown = numbers.iter().filter(|id| **id == ImageId::UNKNOWN).count();
        assert!((3 * MAX_IMAGES..4 * MAX_IMAGES).contains(&unknown), "{unknown}");
        assert!(images().any(|image| image.id == ImageId::UNKNOWN));
        assert!(!ImageId::UNKNOWN.is_known() && !ImageId::NOWHERE.is_known());
        assert_eq!(id_of(&met(0x7000_0000, 2), || b""), second);
    }

    #[test]
    fn any_byte_makes_another_page() {
        let mut page = vec![0x5A; 4096];
        let whole = page_fingerprint(&page);
        for index in [0, 7, 8, 100, 4095] {
            page[index] ^= 1;
            assert_ne!(page_fingerprint(&page), whole, "{index}");
            page[index] ^= 1;
        }
        assert_ne!(page_fingerprint(&page[..4095]), whole);
    }
}
