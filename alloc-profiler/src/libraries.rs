//! Which library an address was in when its stack was taken, so that it is never named after another one that lies
//! there later.
//!
//! Code of a library that may be unloaded is no longer there when a profile is read, or other code is. So its
//! addresses carry the number of their library in the upper 16 bits, which are zero in any address of a program on
//! x86-64. Stacks that are the same but for a library that took another's place are thereby two stacks, and readers
//! can tell. A library is known by its place and its first page: the ELF and program headers and the build id.
//!
//! Numbers are given where a stack first meets a library, by a table that only grows, without a lock. `stack` asks
//! for them; addresses in the program, the C library and the object that we are in stay as they are.
//!
//! Path: *allocation path*, sampled allocations only, and of these only frames of such libraries; [`libraries`] is on
//! the read path.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::memory::{self, AtomicRef, Purpose};

/// Libraries that are told apart. Each time another one takes a place counts.
const MAX_LIBRARIES: usize = 1 << 10;
/// Places looked at for one of them.
const PROBES: usize = 64;
const TAG_SHIFT: u32 = usize::BITS - 16;
/// Longest path kept.
const PATH_BYTES: usize = 1024;

/// Of libraries that the table has no room for.
const UNKNOWN: usize = (MAX_LIBRARIES + 1) << TAG_SHIFT;
/// Of code in no object, such as a just-in-time compiler's: what lies there later is something else.
pub(crate) const NOWHERE: usize = (MAX_LIBRARIES + 2) << TAG_SHIFT;

static LIBRARIES: [AtomicRef<Library>; MAX_LIBRARIES] = [const { AtomicRef::none() }; MAX_LIBRARIES];
static HAS_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// A library in which a stack was taken, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Library {
    /// What return addresses in it have in their upper 16 bits: `address | tag`.
    pub tag: usize,
    /// Where it was loaded.
    pub start: usize,
    /// The end of that.
    pub end: usize,
    /// What the loader added to the addresses in its file.
    pub load_bias: usize,
    /// Of its first page: see [`page_fingerprint`].
    pub fingerprint: u64,
    /// Its file, as the loader calls it; empty if unknown.
    pub path: &'static [u8],
}

/// All libraries in which stacks were taken, whether they are loaded or not.
pub fn libraries() -> impl Iterator<Item = Library> {
    let unknown = Library {
        tag: UNKNOWN,
        start: 0,
        end: (1 << TAG_SHIFT) - 1,
        load_bias: 0,
        fingerprint: 0,
        path: b"[unknown library]",
    };
    let known = LIBRARIES.iter().filter_map(|place| place.load().copied());
    known.chain(HAS_UNKNOWN.load(Relaxed).then_some(unknown))
}

/// The address itself, without the number of its library.
#[must_use]
pub const fn untagged(address: usize) -> usize {
    let tag = address >> TAG_SHIFT;
    if tag <= MAX_LIBRARIES + 2 { address & ((1 << TAG_SHIFT) - 1) } else { address }
}

/// Where the program's own code begins to run: an address in its file, whichever file the kernel was told to run. (With
/// `/lib64/ld-linux-x86-64.so.2 ./app` that is the loader's.) 0 where the system does not tell.
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
    let add = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // In lanes, because each step waits for the one before.
    let mut lanes = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    for words in words.chunks(lanes.len()) {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = add(*lane, u64::from_le_bytes(*word));
        }
    }
    let hash = rest.iter().fold(0, |hash, byte| add(hash, u64::from(*byte)));
    lanes.into_iter().fold(hash, add)
}

/// The address with the number of its library; unchanged if it cannot be one of a program's.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")), expect(dead_code))]
pub(crate) fn tagged(address: usize, tag: usize) -> usize {
    if address >> TAG_SHIFT == 0 { address | tag } else { address }
}

/// As [`tagged`], which no other library's address can be; `None` if this one has no number of its own.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")), expect(dead_code))]
pub(crate) fn numbered(address: usize, tag: usize) -> Option<usize> {
    (address >> TAG_SHIFT == 0 && tag != 0 && tag < UNKNOWN).then_some(address | tag)
}

/// The number of the library that `met` describes, but for tag and path; `path` is asked for where it is new.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")), expect(dead_code))]
pub(crate) fn tag_of<'a>(met: &Library, path: impl Fn() -> &'a [u8]) -> usize {
    let hash = (met.start as u64 ^ met.fingerprint).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for probe in 0..PROBES {
        let index = ((hash >> 32) as usize).wrapping_add(probe) & (MAX_LIBRARIES - 1);
        let Some(place) = LIBRARIES.get(index) else { break };
        let known = place.load().or_else(|| add(place, index, met, path()));
        match known {
            Some(known) if known.start == met.start && known.fingerprint == met.fingerprint => {
                return known.tag;
            }
            Some(_) => {}
            None => break,
        }
    }
    HAS_UNKNOWN.store(true, Relaxed);
    UNKNOWN
}

/// Who is in `place` now: `met`, or whoever came first.
#[cold]
fn add(place: &AtomicRef<Library>, index: usize, met: &Library, path: &[u8]) -> Option<&'static Library> {
    let path = memory::copy(path.get(..PATH_BYTES).unwrap_or(path), Purpose::Stacks)?;
    let tag = index.wrapping_add(1) << TAG_SHIFT;
    let library = memory::place(Library { tag, path, ..*met }, Purpose::Stacks)?;
    match place.replace(None, library) {
        Ok(()) => Some(library),
        Err(theirs) => theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(start: usize, fingerprint: u64) -> Library {
        Library { tag: 0, start, end: start + 4096, load_bias: start, fingerprint, path: b"" }
    }

    #[test]
    fn each_library_has_its_number_until_there_are_too_many() {
        let first = tag_of(&met(0x7000_0000, 1), || b"/lib/first.so");
        assert_eq!(tag_of(&met(0x7000_0000, 1), || b"not asked"), first);
        let second = tag_of(&met(0x7000_0000, 2), || b"/lib/second.so");
        assert_ne!(first, second, "another one at the same place");
        assert_ne!(tag_of(&met(0x7000_1000, 1), || b""), first, "the same one elsewhere");
        assert!(libraries().any(|library| library.tag == first && library.path == b"/lib/first.so"));
        assert!(!libraries().any(|library| library.tag == UNKNOWN));

        let address = 0x7000_0123;
        for tag in [first, second, UNKNOWN, NOWHERE] {
            assert_eq!(untagged(tagged(address, tag)), address);
            assert_ne!(tagged(address, tag), address);
            let is_numbered = [first, second].contains(&tag);
            assert_eq!(numbered(address, tag), is_numbered.then(|| tagged(address, tag)));
        }
        assert_eq!((numbered(address, 0), numbered(usize::MAX - 7, first)), (None, None));
        // Garbage is left alone.
        assert_eq!(tagged(usize::MAX - 7, first), usize::MAX - 7);
        assert_eq!(untagged(usize::MAX - 7), usize::MAX - 7);

        let numbers: Vec<usize> = (0..4 * MAX_LIBRARIES).map(|n| tag_of(&met(n << 12, 3), || b"")).collect();
        let unknown = numbers.iter().filter(|tag| **tag == UNKNOWN).count();
        assert!((3 * MAX_LIBRARIES..4 * MAX_LIBRARIES).contains(&unknown), "{unknown}");
        assert!(libraries().any(|library| library.tag == UNKNOWN));
        assert_eq!(tag_of(&met(0x7000_0000, 2), || b""), second);
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
