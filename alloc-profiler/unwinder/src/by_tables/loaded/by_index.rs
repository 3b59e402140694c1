//! glibc tells of its images by an index, which it keeps for exceptions: `_dl_find_object` (from 2.35) takes no lock, allocates
//! nothing, may be called from a signal handler, and is right at once when libraries come and go.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::{LoadedImage, PERMANENT, Permanent, of_library};
use crate::by_tables::segments::Segments;

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

/// How many images are known to stay: the program, the C library, the image that we are linked into, and the loader.
pub(super) const PERMANENT_COUNT: usize = 4;
const PROGRAM: usize = 0;
const LOADER: usize = 3;

/// Looks the loader's index up. False: this C library has none.
pub(in crate::by_tables) fn prepare() -> bool {
    let function = find_object_address();
    if function == 0 {
        return false;
    }
    FIND_OBJECT.store(function, Release);
    // SAFETY: it asks for a number.
    let program_entry = unsafe { libc::getauxval(libc::AT_ENTRY) } as usize;
    let libc_function = libc::pthread_self as *const () as usize;
    let own_function = prepare as *const () as usize;
    let addresses = [program_entry, libc_function, own_function, function];
    for (index, (permanent, address)) in PERMANENT.iter().zip(addresses).enumerate() {
        if let Some(found) = look_up(address) {
            fill(permanent, &found, index == PROGRAM);
        }
    }
    true
}

/// Returns the address of `_dl_find_object`; 0: there is none. A dynamically linked program must run with a C library that has none,
/// so it is asked for by its name.
#[cfg(not(target_feature = "crt-static"))]
fn find_object_address() -> usize {
    // SAFETY: the name is a constant, terminated string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    function.expose_provenance()
}

/// Returns the address of `_dl_find_object`; 0: there is none. In a statically linked program no function is found by its name. The
/// linker knows where it is, if the code that unwinds panics has brought it, as it does where the compiler's library is GCC 12's or later.
#[cfg(target_feature = "crt-static")]
fn find_object_address() -> usize {
    let address: usize;
    // SAFETY: it loads an address that the linker put there. A weak symbol that nobody defines is 0.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!(
            ".weak _dl_find_object",
            "mov {}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags)
        );
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!(
            ".weak _dl_find_object",
            "adrp {0}, :got:_dl_find_object",
            "ldr {0}, [{0}, :got_lo12:_dl_find_object]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    address
}

/// Libraries that are loaded later are in the index by themselves.
pub(in crate::by_tables) fn update() {}

fn fill(permanent: &Permanent, found: &DlFindObject, is_program: bool) {
    let bias = link_map(found.link_map).map_or(found.map_start, |link_map| link_map.load_bias);
    let segments =
        if is_program { of_program(bias) } else { of_library(found.map_start, found.map_end, bias) };
    permanent.fill(found.link_map, segments);
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

fn link_map(address: usize) -> Option<&'static LinkMap> {
    // SAFETY: this is the loader's record of an image, which is there as long as the image.
    unsafe { std::ptr::with_exposed_provenance::<LinkMap>(address).as_ref() }
}

/// Returns what the loader added to the addresses in the file of an image, if there is a record of it.
pub(super) fn load_bias(image: &LoadedImage) -> Option<usize> {
    link_map(image.link_map).map(|link_map| link_map.load_bias)
}

/// The image that the code at `address` belongs to.
pub(in crate::by_tables) fn find(address: usize) -> Option<LoadedImage> {
    let found = look_up(address)?;
    Some(LoadedImage {
        map_start: found.map_start,
        map_end: found.map_end,
        link_map: found.link_map,
        eh_frame_header: found.eh_frame,
        permanent: PERMANENT.iter().position(|image| image.key.load(Acquire) == found.link_map),
        #[cfg(fuzzing)]
        segments: None,
    })
}

/// Returns the path of the file of an image; empty if it is unknown.
pub(super) fn path(image: &LoadedImage) -> &'static [u8] {
    match link_map(image.link_map).map(|link_map| link_map.name) {
        // SAFETY: the name is part of the loader's record, and ends with a zero.
        Some(name) if !name.is_null() => unsafe { CStr::from_ptr(name) }.to_bytes(),
        _ => &[],
    }
}

/// Whether nobody called the function at `address`, which has no tables: the loader's assembly has none, which calls the functions
/// that begin libraries and the program.
pub(super) fn is_outermost(image: &LoadedImage, _address: usize) -> bool {
    image.permanent == Some(LOADER)
}
