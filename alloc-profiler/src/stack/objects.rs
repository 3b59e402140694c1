//! The program and its shared libraries, as the loader knows them now: which one an address is in, and where
//! its unwind tables are.
//!
//! We ask the loader's own index, which it keeps for exceptions: `_dl_find_object` (glibc from 2.35) takes no
//! lock, allocates nothing, and is right at once when libraries come and go.
//!
//! Path: *allocation path*, sampled allocations only, and of these only addresses without a kept rule.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::memory;
use crate::libraries::{self, Library, page_fingerprint};

/// An object that an address is in.
pub(super) struct Object {
    pub(super) map_start: usize,
    map_end: usize,
    link_map: usize,
    /// Where its `.eh_frame_hdr` begins; 0 if it has none.
    pub(super) eh_frame_header: usize,
    /// It will not be unloaded, so what is known about its addresses stays true.
    pub(super) is_permanent: bool,
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

/// Starts of objects that stay: the program, the C library, and whatever we are linked into.
static PERMANENT: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

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
    for (place, address) in PERMANENT.iter().zip([program_entry, libc_function, own_function]) {
        if let Some(found) = look_up(address) {
            place.store(found.map_start, Relaxed);
        }
    }
    true
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

/// The object that the code at `address` belongs to.
pub(super) fn find(address: usize) -> Option<Object> {
    let found = look_up(address)?;
    Some(Object {
        map_start: found.map_start,
        map_end: found.map_end,
        link_map: found.link_map,
        eh_frame_header: found.eh_frame,
        is_permanent: PERMANENT.iter().any(|start| start.load(Relaxed) == found.map_start),
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

impl Object {
    /// As if loaded where `image` is, with tables that begin at an offset.
    #[cfg(fuzzing)]
    pub(super) fn of_bytes(image: &[u8], tables_offset: usize) -> Object {
        let range = image.as_ptr_range();
        Object {
            map_start: range.start.expose_provenance(),
            map_end: range.end.addr(),
            link_map: 0,
            eh_frame_header: range.start.addr().wrapping_add(tables_offset),
            is_permanent: false,
        }
    }

    /// The number of the library that this is, for addresses in it, and whether that is no other build's: it has a build
    /// id.
    pub(super) fn tag(&self) -> (usize, bool) {
        if !memory::is_readable(self.map_start) {
            return (libraries::NOWHERE, false);
        }
        // SAFETY: the first page of the object was just read by the kernel, and the object is not being unloaded,
        // since a function of it is on our stack. It holds headers, which nobody writes.
        let page = unsafe {
            std::slice::from_raw_parts(
                std::ptr::with_exposed_provenance::<u8>(self.map_start),
                memory::PAGE_BYTES,
            )
        };
        // SAFETY: the loader's record of the object, which is there as long as the object.
        let link_map = unsafe { std::ptr::with_exposed_provenance::<LinkMap>(self.link_map).as_ref() };
        let met = Library {
            tag: 0,
            start: self.map_start,
            end: self.map_end,
            load_bias: link_map.map_or(self.map_start, |link_map| link_map.load_bias),
            fingerprint: page_fingerprint(page),
            path: &[],
        };
        let path = || match link_map.map(|link_map| link_map.name) {
            // SAFETY: as above; a name ends with a zero.
            Some(name) if !name.is_null() => unsafe { CStr::from_ptr(name) }.to_bytes(),
            _ => &[],
        };
        (libraries::tag_of(&met, path), has_build_id(page))
    }

    /// The object's bytes from `start` to its end, if it is in there.
    pub(super) fn bytes_from(&self, start: usize) -> Option<&'static [u8]> {
        if !(self.map_start..self.map_end).contains(&start) {
            return None;
        }
        // SAFETY: the loader has mapped the object from `map_start` to `map_end`, and it is not being unloaded,
        // since a function of it is on our stack (we are the only users of the slice, and done with it before
        // that function goes on). It may span gaps between segments, which are not read: the tables that begin
        // at `start` lie within one.
        Some(unsafe {
            std::slice::from_raw_parts(
                std::ptr::with_exposed_provenance(start),
                self.map_end.wrapping_sub(start),
            )
        })
    }
}
