//! This asks the loader for its images, that is, the program and its shared libraries, as they are now: which one an
//! address is in, and where its unwind tables are.
//!
//! We ask the loader's own index, which it keeps for exceptions: `_dl_find_object` (glibc from 2.35) takes no lock, allocates
//! nothing, may be called from a signal handler, and is right at once when libraries come and go.
//!
//! Nothing is read of an image but its headers, in pages that the kernel has just been able to read, and what its `segments`
//! span.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses without a kept rule.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::pages::{PAGE_BYTES, is_readable};
use super::segments::Segments;
use crate::images::{self, ImageId, Met, page_fingerprint};

/// An image that an address is in.
pub(super) struct LoadedImage {
    /// Where the part begins that the address is in: the whole image, or a segment where there are gaps in between.
    pub(super) map_start: usize,
    map_end: usize,
    link_map: usize,
    /// Where its `.eh_frame_hdr` begins; 0 if it has none.
    pub(super) eh_frame_header: usize,
    /// Its index among the images that stay. What is known about addresses in such an image stays true.
    permanent: Option<usize>,
    #[cfg(fuzzing)]
    segments: Option<Segments>,
}

/// Mirrors `struct dl_find_object` of glibc's `<dlfcn.h>`, on targets without the optional fields.
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: usize,
    eh_frame: usize,
    reserved: [u64; 7],
}

type FindObject = unsafe extern "C" fn(address: *mut c_void, result: *mut DlFindObject) -> c_int;

/// The address of `_dl_find_object`; 0: it was not looked up yet.
static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// An image that stays.
struct Permanent {
    /// 0: there is none, or it was not found.
    link_map: AtomicUsize,
    load_bias: AtomicUsize,
    headers: AtomicUsize,
    header_count: AtomicUsize,
}

/// The images that stay: the program, the C library, the image that we are linked into, and the loader.
static PERMANENT: [Permanent; 4] = [const {
    Permanent {
        link_map: AtomicUsize::new(0),
        load_bias: AtomicUsize::new(0),
        headers: AtomicUsize::new(0),
        header_count: AtomicUsize::new(0),
    }
}; 4];
const PROGRAM: usize = 0;
const LOADER: usize = 3;

/// Looks the loader's index up. False: this C library has none.
pub(super) fn prepare() -> bool {
    // SAFETY: the name is a constant, terminated string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    if function.is_null() {
        return false;
    }
    FIND_OBJECT.store(function.expose_provenance(), Release);
    // SAFETY: it asks for a number.
    let program_entry = unsafe { libc::getauxval(libc::AT_ENTRY) } as usize;
    let libc_function = libc::pthread_self as *const () as usize;
    let own_function = prepare as *const () as usize;
    let addresses = [program_entry, libc_function, own_function, function.addr()];
    for (index, (permanent, address)) in PERMANENT.iter().zip(addresses).enumerate() {
        if let Some(found) = look_up(address) {
            permanent.fill(&found, index == PROGRAM);
        }
    }
    true
}

impl Permanent {
    fn fill(&self, found: &DlFindObject, is_program: bool) {
        let bias = load_bias(found.link_map).unwrap_or(found.map_start);
        let segments =
            if is_program { of_program(bias) } else { of_library(found.map_start, found.map_end, bias) };
        if let Some(segments) = segments {
            self.load_bias.store(segments.load_bias(), Relaxed);
            self.headers.store(segments.headers().as_ptr().expose_provenance(), Relaxed);
            self.header_count.store(segments.headers().len(), Relaxed);
        }
        self.link_map.store(found.link_map, Release);
    }

    fn segments(&self) -> Option<Segments> {
        let (headers, count) = (self.headers.load(Relaxed), self.header_count.load(Relaxed));
        // SAFETY: `fill` stored both, of a slice that is there as long as the image, which stays. Whoever looks here has read
        // `link_map`, which is stored last.
        let headers = (headers != 0).then(|| unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance(headers), count)
        })?;
        Some(Segments::new(headers, self.load_bias.load(Relaxed)))
    }
}

/// Returns the program's segments. The kernel has told where the program headers are, which need not lie in the first page of the
/// program, and that need not be at the program's beginning.
fn of_program(load_bias: usize) -> Option<Segments> {
    // SAFETY: they ask for numbers.
    let [headers, count, bytes] =
        [libc::AT_PHDR, libc::AT_PHNUM, libc::AT_PHENT].map(|what| unsafe { libc::getauxval(what) } as usize);
    let headers = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers);
    let is_usual = !headers.is_null() && headers.is_aligned() && bytes == size_of::<libc::Elf64_Phdr>();
    // SAFETY: the kernel, or a loader that was started as a command, has mapped so many headers there, and has read them.
    // Nobody writes to them.
    is_usual.then(|| Segments::new(unsafe { std::slice::from_raw_parts(headers, count) }, load_bias))
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

fn look_up(address: usize) -> Option<DlFindObject> {
    let function = FIND_OBJECT.load(Acquire);
    if function == 0 {
        return None;
    }
    // SAFETY: only the address of `_dl_find_object` is ever stored, and this is its type.
    let find_object: FindObject =
        unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(function)) };
    let mut found =
        DlFindObject { flags: 0, map_start: 0, map_end: 0, link_map: 0, eh_frame: 0, reserved: [0; 7] };
    // SAFETY: it may be called from anywhere with any address, and fills `found` if it returns 0.
    let is_found = unsafe { find_object(std::ptr::with_exposed_provenance_mut(address), &mut found) } == 0;
    is_found.then_some(found)
}

/// `struct link_map` of glibc's `<link.h>`: the part that is for everybody.
#[repr(C)]
struct LinkMap {
    load_bias: usize,
    name: *const c_char,
}

/// Returns what the loader added to the addresses in the file of an image.
fn load_bias(link_map: usize) -> Option<usize> {
    // SAFETY: this is the loader's record of an image, which is there as long as the image.
    unsafe { std::ptr::with_exposed_provenance::<LinkMap>(link_map).as_ref() }
        .map(|link_map| link_map.load_bias)
}

/// The image that the code at `address` belongs to.
pub(super) fn find(address: usize) -> Option<LoadedImage> {
    let found = look_up(address)?;
    Some(LoadedImage {
        map_start: found.map_start,
        map_end: found.map_end,
        link_map: found.link_map,
        eh_frame_header: found.eh_frame,
        permanent: PERMANENT.iter().position(|image| image.link_map.load(Acquire) == found.link_map),
        #[cfg(fuzzing)]
        segments: None,
    })
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
        LoadedImage { map_start: 0, map_end: 0, link_map: 0, eh_frame_header, permanent: None, segments }
    }

    /// Whether it will not be unloaded, so that what is known about its addresses stays true.
    pub(super) fn is_permanent(&self) -> bool {
        self.permanent.is_some()
    }

    /// Whether it is the loader, whose first function calls those of libraries that are being loaded.
    pub(super) fn is_loader(&self) -> bool {
        self.permanent == Some(LOADER)
    }

    /// The number of this image, which may be unloaded, for addresses in it; and whether no other build has that number: the
    /// image has a build id.
    pub(super) fn id(&self) -> (ImageId, bool) {
        let Some(page) = first_page(self.map_start) else { return (ImageId::NOWHERE, false) };
        // SAFETY: this is the loader's record of the image, which is there as long as the image.
        let link_map = unsafe { std::ptr::with_exposed_provenance::<LinkMap>(self.link_map).as_ref() };
        let met = Met {
            start: self.map_start,
            end: self.map_end,
            load_bias: link_map.map_or(self.map_start, |link_map| link_map.load_bias),
            // mutant: A8 a library is known by its place alone
            fingerprint: page_fingerprint(page),
        };
        let path = || match link_map.map(|link_map| link_map.name) {
            // SAFETY: the name is part of that record, and ends with a zero.
            Some(name) if !name.is_null() => unsafe { CStr::from_ptr(name) }.to_bytes(),
            _ => &[],
        };
        (images::id_of(&met, path), has_build_id(page))
    }

    /// Which parts of it are in memory. `None`: that cannot be told.
    pub(super) fn segments(&self) -> Option<Segments> {
        #[cfg(fuzzing)]
        if self.segments.is_some() {
            return self.segments;
        }
        match self.permanent.and_then(|index| PERMANENT.get(index)) {
            Some(permanent) => permanent.segments(),
            None => of_library(self.map_start, self.map_end, load_bias(self.link_map)?),
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

    #[test]
    fn the_image_of_an_address_is_found() {
        let own = found(found as fn(usize) -> LoadedImage as usize);
        assert!(own.is_permanent() && !own.is_loader());
        assert!(own.eh_frame_header != 0);
        let c_library = found(libc::getpid as *const () as usize);
        assert!(c_library.is_permanent() && c_library.map_start != own.map_start);
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

    #[test]
    fn an_image_has_one_number() {
        let image = found(libc::getpid as *const () as usize);
        let (id, _) = image.id();
        assert_eq!(image.id().0, id);
        let known = crate::images().find(|known| known.id == id).unwrap();
        assert!((known.start..known.end).contains(&(libc::getpid as *const () as usize)));
        assert!(
            known.path.windows(4).any(|part| part == b"libc"),
            "{:?}",
            String::from_utf8_lossy(known.path)
        );
    }
}
