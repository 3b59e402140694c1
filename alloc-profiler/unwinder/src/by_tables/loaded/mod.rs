//! This asks the loader for its images, that is, the program and its shared libraries, as they are now: which one an
//! address is in, and where its unwind tables are.
//!
//! Each C library tells it in its own way: glibc by an index that is always up to date (`by_index`), musl by a list that we copy
//! (`by_list`).
//!
//! Nothing is read of an image but its headers, in pages that the kernel has just been able to read, and what its `segments`
//! span.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses without a kept rule.

#[cfg(not(musl))]
mod by_index;
#[cfg(musl)]
mod by_list;

use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::pages::{PAGE_BYTES, is_readable};
use super::segments::Segments;
use crate::images::{self, ImageId, Met, page_fingerprint};
#[cfg(not(musl))]
use by_index as loader;
#[cfg(musl)]
use by_list as loader;
pub(super) use loader::{find, prepare, update};

/// An image that an address is in.
pub(super) struct LoadedImage {
    /// Where the part begins that the address is in: the whole image, or a segment where there are gaps in between.
    pub(super) map_start: usize,
    map_end: usize,
    /// The loader's record of it.
    #[cfg(not(musl))]
    link_map: usize,
    /// Where its `.eh_frame_hdr` begins; 0 if it has none.
    pub(super) eh_frame_header: usize,
    /// Its index among the images that stay. What is known about addresses in such an image stays true.
    permanent: Option<usize>,
    #[cfg(fuzzing)]
    segments: Option<Segments>,
}

/// An image that stays.
struct Permanent {
    /// The loader's name for it; 0: there is none, or it was not found.
    key: AtomicUsize,
    load_bias: AtomicUsize,
    headers: AtomicUsize,
    header_count: AtomicUsize,
}

static PERMANENT: [Permanent; loader::PERMANENT_COUNT] = [const {
    Permanent {
        key: AtomicUsize::new(0),
        load_bias: AtomicUsize::new(0),
        headers: AtomicUsize::new(0),
        header_count: AtomicUsize::new(0),
    }
}; loader::PERMANENT_COUNT];

impl Permanent {
    fn fill(&self, key: usize, segments: Option<Segments>) {
        if let Some(segments) = segments {
            self.load_bias.store(segments.load_bias(), Relaxed);
            self.headers.store(segments.headers().as_ptr().expose_provenance(), Relaxed);
            self.header_count.store(segments.headers().len(), Relaxed);
        }
        self.key.store(key, Release);
    }

    fn segments(&self) -> Option<Segments> {
        let (headers, count) = (self.headers.load(Relaxed), self.header_count.load(Relaxed));
        // SAFETY: `fill` stored both, of a slice that is there as long as the image, which stays. Whoever looks here has read
        // `key`, which is stored last.
        let headers = (headers != 0).then(|| unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance(headers), count)
        })?;
        Some(Segments::new(headers, self.load_bias.load(Relaxed)))
    }
}

/// The segments of the image from `map_start` to `map_end`, if its headers can be read.
fn of_library(map_start: usize, map_end: usize, load_bias: usize) -> Option<Segments> {
    let is_within = |address: usize, length: usize| {
        address >= map_start && address.checked_add(length).is_some_and(|end| end <= map_end)
    };
    let elsewhere =
        |address, length| is_within(address, length).then(|| headers_at(address, length)).flatten();
    Segments::by_page(first_page(map_start)?, load_bias, elsewhere)
}

fn first_page(map_start: usize) -> Option<&'static [u8]> {
    headers_at(map_start, PAGE_BYTES)
}

/// Headers of an image, at most 4096 bytes, if they can be read.
fn headers_at(address: usize, length: usize) -> Option<&'static [u8]> {
    let page_of = |address: usize| address & !(PAGE_BYTES - 1);
    let (first, last) = (page_of(address), page_of(address.checked_add(length.checked_sub(1)?)?));
    let can_be_read = length <= PAGE_BYTES && is_readable(first) && (last == first || is_readable(last));
    // SAFETY: the kernel has just read each of the pages, at most two, which the bytes are in. The image is not being
    // unloaded, since a function of it is on our stack, or it stays. The pages hold headers, to which nobody writes.
    can_be_read
        .then(|| unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), length) })
}

/// Whether there is a note with a build id in the first page of an image, where linkers put it: right after the headers.
fn has_build_id(page: &[u8]) -> bool {
    const HEAD_BYTES: usize = 1024;
    const NAME_BYTES: u32 = 4;
    const KIND: u32 = 3;
    let (words, _) = page.get(..HEAD_BYTES).unwrap_or(page).as_chunks::<4>();
    words.windows(4).any(|words| match words {
        [name_bytes, _, kind, name] => {
            u32::from_ne_bytes(*name_bytes) == NAME_BYTES
                && u32::from_ne_bytes(*kind) == KIND
                && name == b"GNU\0"
        }
        _ => false,
    })
}

impl LoadedImage {
    /// As if its segments were these, with tables that begin at `eh_frame_header`.
    #[cfg(fuzzing)]
    pub(super) fn of_segments(segments: Segments, eh_frame_header: usize) -> LoadedImage {
        let segments = Some(segments);
        LoadedImage {
            map_start: 0,
            map_end: 0,
            #[cfg(not(musl))]
            link_map: 0,
            eh_frame_header,
            permanent: None,
            segments,
        }
    }

    /// Whether it will not be unloaded, so that what is known about its addresses stays true.
    pub(super) fn is_permanent(&self) -> bool {
        self.permanent.is_some()
    }

    /// Whether nobody called the function at `address` in this image, which has no tables.
    pub(super) fn is_outermost(&self, address: usize) -> bool {
        loader::is_outermost(self, address)
    }

    /// The number of this image, which may be unloaded, for addresses in it; and whether no other build has that number: the
    /// image has a build id.
    pub(super) fn id(&self) -> (ImageId, bool) {
        let Some(page) = first_page(self.map_start) else { return (ImageId::NOWHERE, false) };
        let met = Met {
            start: self.map_start,
            end: self.map_end,
            load_bias: loader::load_bias(self).unwrap_or(self.map_start),
            // mutant: A8 a library is known by its place alone
            fingerprint: page_fingerprint(page),
        };
        (images::id_of(&met, || loader::path(self)), has_build_id(page))
    }

    /// Which parts of it are in memory. `None`: that cannot be told.
    pub(super) fn segments(&self) -> Option<Segments> {
        #[cfg(fuzzing)]
        if self.segments.is_some() {
            return self.segments;
        }
        match self.permanent.and_then(|index| PERMANENT.get(index)) {
            Some(permanent) => permanent.segments(),
            None => of_library(self.map_start, self.map_end, loader::load_bias(self)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: usize) -> LoadedImage {
        assert!(prepare());
        find(address).unwrap()
    }

    /// The ranges of memory that can be read, as the kernel lists them.
    fn readable_ranges() -> Vec<std::ops::Range<usize>> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for line in maps.lines() {
            let (range, permissions) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            match ranges.last_mut() {
                _ if !permissions.starts_with('r') => {}
                Some(last) if last.end == number(start) => last.end = number(end),
                _ => ranges.push(number(start)..number(end)),
            }
        }
        ranges
    }

    // With musl, the C library is not always an image of its own, and has no tables.
    #[cfg(not(musl))]
    #[test]
    fn the_image_of_an_address_is_found() {
        let own = found(found as fn(usize) -> LoadedImage as usize);
        assert!(own.is_permanent() && !own.is_outermost(found as fn(usize) -> LoadedImage as usize));
        assert!(own.eh_frame_header != 0);
        let c_library = found(libc::getpid as *const () as usize);
        // In a static program, the C library is part of the program.
        let is_same_image = c_library.map_start == own.map_start;
        assert!(c_library.is_permanent() && is_same_image == cfg!(target_feature = "crt-static"));
        assert!(find((&raw const own).addr()).is_none(), "the stack is in no image");
        assert!(find(0).is_none() && find(usize::MAX).is_none());
    }

    /// The whole of an image may have gaps. No reference of ours may span one.
    #[test]
    fn every_byte_of_a_segment_can_be_read() {
        let ranges = readable_ranges();
        for address in [found as fn(usize) -> LoadedImage as usize, libc::getpid as *const () as usize] {
            let segments = found(address).segments().unwrap();
            let code = segments.containing(address).unwrap();
            assert!(code.is_code);
            let mut seen = 0;
            for header in segments.headers().iter().filter(|header| header.p_type == libc::PT_LOAD) {
                let start = segments.load_bias() + header.p_vaddr as usize;
                let bytes = segments.containing(start).unwrap().bytes_from(start).unwrap();
                assert_eq!(bytes.len(), header.p_memsz as usize);
                assert!(
                    ranges.iter().any(|range| range.contains(&start) && start + bytes.len() <= range.end)
                );
                seen += 1;
            }
            assert!(seen >= 2);
        }
    }

    #[test]
    fn headers_that_cannot_be_read_are_none() {
        assert!(headers_at(0, 64).is_none());
        assert!(headers_at(usize::MAX - 63, 64).is_none());
        assert!(headers_at(found as fn(usize) -> LoadedImage as usize, 0).is_none());
        assert!(headers_at(found as fn(usize) -> LoadedImage as usize, PAGE_BYTES + 1).is_none());
    }

    #[test]
    fn a_build_id_is_seen_in_the_first_page() {
        let mut page = vec![0_u8; PAGE_BYTES];
        assert!(!has_build_id(&page));
        let note: Vec<u8> = [4_u32, 20, 3].into_iter().flat_map(u32::to_ne_bytes).chain(*b"GNU\0").collect();
        page[0x388..0x388 + note.len()].copy_from_slice(&note);
        assert!(has_build_id(&page));
        page[0x388 + 8] = 1;
        assert!(!has_build_id(&page), "another kind of note");
    }

    // With musl, the C library is not always an image of its own, and has no tables.
    #[cfg(not(musl))]
    #[test]
    fn an_image_has_one_number() {
        let image = found(libc::getpid as *const () as usize);
        let (id, _) = image.id();
        assert_eq!(image.id().0, id);
        let known = crate::images().find(|known| known.id == id).unwrap();
        assert!((known.start..known.end).contains(&(libc::getpid as *const () as usize)));
        let path = String::from_utf8_lossy(known.path);
        // The loader's record of the program, which the C library is part of in a static program, has no path.
        let expected =
            if cfg!(target_feature = "crt-static") { path.is_empty() } else { path.contains("libc") };
        assert!(expected, "{path:?}");
    }
}
