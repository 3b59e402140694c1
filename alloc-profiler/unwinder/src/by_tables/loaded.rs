//! The program and its shared libraries, as the loader knows them now: which one an address is in, and where
//! its unwind tables are.
//!
//! We ask the loader's own index, which it keeps for exceptions: `_dl_find_object` (glibc from 2.35) takes no
//! lock, allocates nothing, and is right at once when libraries come and go.
//!
//! Path: *allocation path*, sampled allocations only, and of these only addresses without a kept rule.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::pages::{PAGE_BYTES, is_readable};
use super::segments::Segments;
use crate::images::{self, ImageId, Met, page_fingerprint};

/// An object that an address is in.
pub(super) struct LoadedImage {
    /// Where the part begins that the address is in: the whole object, or a segment where there are gaps in between.
    pub(super) map_start: usize,
    map_end: usize,
    link_map: usize,
    /// Where its `.eh_frame_hdr` begins; 0 if it has none.
    pub(super) eh_frame_header: usize,
    /// Where it is among those that stay; what is known about addresses in such a one stays true.
    permanent: Option<usize>,
    #[cfg(fuzzing)]
    segments: Option<Segments>,
}

/// As in glibc's `<dlfcn.h>`, on targets without the optional fields.
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

static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// An object that stays.
struct Permanent {
    /// 0: none.
    link_map: AtomicUsize,
    load_bias: AtomicUsize,
    headers: AtomicUsize,
    header_count: AtomicUsize,
}

/// Those that stay: the program, the C library, whatever we are linked into, and the loader.
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

/// Looks the index up. False: this C library has none.
pub(super) fn prepare() -> bool {
    // SAFETY: a constant, terminated string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    if function.is_null() {
        return false;
    }
    FIND_OBJECT.store(function.expose_provenance(), Release);
    // SAFETY: asks for a number.
    let program_entry = unsafe { libc::getauxval(libc::AT_ENTRY) } as usize;
    let libc_function = libc::pthread_self as *const () as usize;
    let own_function = prepare as *const () as usize;
    let addresses = [program_entry, libc_function, own_function, function.addr()];
    for (index, (place, address)) in PERMANENT.iter().zip(addresses).enumerate() {
        if let Some(found) = look_up(address) {
            place.fill(&found, index == PROGRAM);
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
        // SAFETY: `fill` stored both, of a slice that is there as long as the object, which stays; whoever looks here
        // has read `link_map`, which is stored last.
        let headers = (headers != 0).then(|| unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance(headers), count)
        })?;
        Some(Segments::new(headers, self.load_bias.load(Relaxed)))
    }
}

/// The program's, of which the kernel told where they are: they need not lie in its first page, nor that at its
/// beginning.
fn of_program(load_bias: usize) -> Option<Segments> {
    // SAFETY: ask for numbers.
    let [headers, count, bytes] =
        [libc::AT_PHDR, libc::AT_PHNUM, libc::AT_PHENT].map(|what| unsafe { libc::getauxval(what) } as usize);
    let headers = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers);
    let is_usual = !headers.is_null() && headers.is_aligned() && bytes == size_of::<libc::Elf64_Phdr>();
    // SAFETY: the kernel, or a loader that was started as a command, has mapped so many of them there, and both have
    // read them. Nobody writes them.
    is_usual.then(|| Segments::new(unsafe { std::slice::from_raw_parts(headers, count) }, load_bias))
}

/// Those of the object from `map_start` to `map_end`, if they can be read.
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

/// At most a page's worth of headers of an object, if they can be read.
fn headers_at(address: usize, length: usize) -> Option<&'static [u8]> {
    let page_of = |address: usize| address & !(PAGE_BYTES - 1);
    let (first, last) = (page_of(address), page_of(address.checked_add(length.checked_sub(1)?)?));
    let can_be_read = length <= PAGE_BYTES && is_readable(first) && (last == first || is_readable(last));
    // SAFETY: the kernel has just read each of the pages, at most two, and the object is not being unloaded, since a
    // function of it is on our stack, or it stays. They hold headers, which nobody writes.
    can_be_read
        .then(|| unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), length) })
}

fn look_up(address: usize) -> Option<DlFindObject> {
    let function = FIND_OBJECT.load(Acquire);
    if function == 0 {
        return None;
    }
    // SAFETY: nothing else is ever stored than the address of `_dl_find_object`, whose type this is.
    let find_object: FindObject =
        unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(function)) };
    let mut found =
        DlFindObject { flags: 0, map_start: 0, map_end: 0, link_map: 0, eh_frame: 0, reserved: [0; 7] };
    // SAFETY: it may be called from anywhere with any address, and fills `found` if it returns 0.
    let is_found = unsafe { find_object(std::ptr::with_exposed_provenance_mut(address), &mut found) } == 0;
    is_found.then_some(found)
}

/// As in glibc's `<link.h>`: the part that is for everybody.
#[repr(C)]
struct LinkMap {
    load_bias: usize,
    name: *const c_char,
}

/// What the loader added to the addresses of an object.
fn load_bias(link_map: usize) -> Option<usize> {
    // SAFETY: the loader's record of an object, which is there as long as the object.
    unsafe { std::ptr::with_exposed_provenance::<LinkMap>(link_map).as_ref() }
        .map(|link_map| link_map.load_bias)
}

/// The object that the code at `address` belongs to.
pub(super) fn find(address: usize) -> Option<LoadedImage> {
    let found = look_up(address)?;
    Some(LoadedImage {
        map_start: found.map_start,
        map_end: found.map_end,
        link_map: found.link_map,
        eh_frame_header: found.eh_frame,
        permanent: PERMANENT.iter().position(|place| place.link_map.load(Acquire) == found.link_map),
        #[cfg(fuzzing)]
        segments: None,
    })
}

/// Whether there is a note with a build id in the first page, where linkers put it: right after the headers.
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

    /// It will not be unloaded, so what is known about its addresses stays true.
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
        // SAFETY: the loader's record of the image, which is there as long as the image.
        let link_map = unsafe { std::ptr::with_exposed_provenance::<LinkMap>(self.link_map).as_ref() };
        let met = Met {
            start: self.map_start,
            end: self.map_end,
            load_bias: link_map.map_or(self.map_start, |link_map| link_map.load_bias),
            // mutant: A8 a library is known by its place alone
            fingerprint: page_fingerprint(page),
        };
        let path = || match link_map.map(|link_map| link_map.name) {
            // SAFETY: as above; a name ends with a zero.
            Some(name) if !name.is_null() => unsafe { CStr::from_ptr(name) }.to_bytes(),
            _ => &[],
        };
        (images::id_of(&met, path), has_build_id(page))
    }

    /// What of it is in memory. `None`: it cannot be told.
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
