//! musl tells of its images under the loader's lock, by `dl_iterate_phdr`. So they are copied to a list in calls from ordinary
//! code. The list stays right: musl never unloads a library, whoever closes it. What is loaded later is in the list from the next
//! such call on, and until then a walk is cut where it comes to it. A program without a loader is one image.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::{LoadedImage, PERMANENT};
use crate::by_tables::segments::Segments;
use crate::lock::TryLock;

/// How many images are listed. Walks are cut in those beyond.
pub(super) const PERMANENT_COUNT: usize = 256;

/// What the list has of each image beside what [`PERMANENT`] has, whose key is where the image begins.
struct Extent {
    end: AtomicUsize,
    eh_frame_header: AtomicUsize,
}

static EXTENTS: [Extent; PERMANENT_COUNT] =
    [const { Extent { end: AtomicUsize::new(0), eh_frame_header: AtomicUsize::new(0) } }; PERMANENT_COUNT];
/// How many images are listed.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whoever has it adds to the list.
static IS_LISTING: TryLock<()> = TryLock::new(());

/// Lists the images that are loaded. False: there are none that could be told.
pub(in crate::by_tables) fn prepare() -> bool {
    update();
    COUNT.load(Acquire) > 0
}

/// Adds the images to the list that were loaded since. Another thread that does so at this moment does it for both.
pub(in crate::by_tables) fn update() {
    if let Some(_guard) = IS_LISTING.try_lock() {
        // SAFETY: `list` takes what it is called with, and nothing is passed on.
        unsafe { libc::dl_iterate_phdr(Some(list), std::ptr::null_mut()) };
    }
}

unsafe extern "C" fn list(image: *mut libc::dl_phdr_info, _bytes: usize, _nothing: *mut c_void) -> c_int {
    // SAFETY: the loader passes a record that is valid for this call.
    let image = unsafe { &*image };
    if image.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: these are as many program headers, which are there as long as the image, which is for ever.
    let headers = unsafe { std::slice::from_raw_parts(image.dlpi_phdr, image.dlpi_phnum.into()) };
    let bias = image.dlpi_addr as usize;
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let ends = loaded.map(|header| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    });
    let Some((start, end)) = ends.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))) else { return 0 };
    let tables = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME);
    let eh_frame_header = tables.map_or(0, |header| bias.wrapping_add(header.p_vaddr as usize));
    let count = COUNT.load(Relaxed);
    let is_listed = PERMANENT.iter().take(count).any(|image| image.key.load(Relaxed) == start);
    if let (false, Some(permanent), Some(extent)) = (is_listed, PERMANENT.get(count), EXTENTS.get(count)) {
        extent.end.store(end, Relaxed);
        extent.eh_frame_header.store(eh_frame_header, Relaxed);
        permanent.fill(start, Some(Segments::new(headers, bias)));
        COUNT.store(count.wrapping_add(1), Release);
    }
    0
}

/// The image that the code at `address` belongs to.
pub(in crate::by_tables) fn find(address: usize) -> Option<LoadedImage> {
    let images = PERMANENT.iter().zip(&EXTENTS).take(COUNT.load(Acquire));
    let mut images = images.map(|(image, extent)| (image.key.load(Relaxed), extent)).enumerate();
    let is_in = |start: usize, extent: &Extent| (start..extent.end.load(Relaxed)).contains(&address);
    let (index, (map_start, extent)) = images.find(|(_, (start, extent))| is_in(*start, extent))?;
    Some(LoadedImage {
        map_start,
        map_end: extent.end.load(Relaxed),
        eh_frame_header: extent.eh_frame_header.load(Relaxed),
        permanent: Some(index),
        #[cfg(fuzzing)]
        segments: None,
    })
}

/// Nobody asks this of images that stay.
pub(super) fn load_bias(_image: &LoadedImage) -> Option<usize> {
    None
}

/// Nobody asks this of images that stay.
pub(super) fn path(_image: &LoadedImage) -> &'static [u8] {
    &[]
}

unsafe extern "C" {
    /// It calls `main` by way of a function that the linker puts beside it.
    fn __libc_start_main();
}

/// Whether nobody that matters called the function at `address`, which has no tables: it is the function of musl's that calls
/// `main`, or the one that calls what a thread begins with. Both are static functions in the same source as one that has a name,
/// so the linker puts them beside it.
pub(super) fn is_outermost(_image: &LoadedImage, address: usize) -> bool {
    /// More than is between them in musl 1.2, which is some hundred bytes to 2 KiB.
    const BESIDE_BYTES: usize = 4096;
    let named = [__libc_start_main as *const () as usize, libc::pthread_create as *const () as usize];
    named.into_iter().any(|function| address.abs_diff(function) < BESIDE_BYTES)
}
