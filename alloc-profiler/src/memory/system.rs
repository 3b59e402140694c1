//! Pages come from the operating system, without the allocator that we wrap.
//!
//! Path: *allocation path*, sampled allocations only.

#[cfg(unix)]
pub(super) use unix::*;

#[cfg(not(unix))]
pub(super) use other::*;

#[cfg(unix)]
mod unix {
    use std::ptr;

    use super::super::PAGE_BYTES;
    use crate::process::c_library;

    pub(crate) fn map_zeroed(bytes: usize) -> Option<usize> {
        // SAFETY: a private anonymous mapping at an address of the system's choice touches nobody's memory.
        let start = c_library::keeping_errno(|| unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        });
        // mutant: C5 no memory is a crash
        // mutant: A14 no memory is a crash
        (start != libc::MAP_FAILED).then(|| start.expose_provenance())
    }

    pub(crate) fn unmap(start: usize, bytes: usize) {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: it is a whole mapping of ours, of which nobody else knows.
        let _ = c_library::keeping_errno(|| unsafe { libc::munmap(start, bytes) });
    }

    /// Discards pages. Only Linux promises that discarded anonymous pages read as zero.
    #[cfg(target_os = "linux")]
    pub(crate) fn discard(start: usize, bytes: usize) -> bool {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: they are whole pages of a private anonymous mapping of ours, or of a static that no file is behind.
        // They hold nothing that is used, but atomics, for which zero is a value, and at most a look that will be
        // repeated reads them.
        c_library::keeping_errno(|| unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) == 0 })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn discard(_start: usize, _bytes: usize) -> bool {
        false
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn keep_pages_small(start: usize, bytes: usize) {
        let first_page = start.next_multiple_of(PAGE_BYTES);
        let bytes = bytes.saturating_sub(first_page.saturating_sub(start));
        let first_page = ptr::with_exposed_provenance_mut(first_page);
        // SAFETY: this is advice on pages of our own static, and refused advice changes nothing.
        let _ =
            c_library::keeping_errno(|| unsafe { libc::madvise(first_page, bytes, libc::MADV_NOHUGEPAGE) });
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn keep_pages_small(_start: usize, _bytes: usize) {
        let _ = PAGE_BYTES;
    }
}

#[cfg(not(unix))]
mod other {
    use std::alloc::{GlobalAlloc, Layout, System};

    use super::super::PAGE_BYTES;

    pub(crate) fn map_zeroed(bytes: usize) -> Option<usize> {
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).ok()?;
        // SAFETY: `bytes` is never zero here; `System` is below the allocator that we wrap.
        let start = unsafe { System.alloc_zeroed(layout) };
        (!start.is_null()).then(|| start.expose_provenance())
    }

    pub(crate) fn unmap(start: usize, bytes: usize) {
        if let Ok(layout) = Layout::from_size_align(bytes, PAGE_BYTES) {
            // SAFETY: `map_zeroed` returned this for as many bytes, and nobody else knows of it.
            unsafe { System.dealloc(std::ptr::with_exposed_provenance_mut(start), layout) };
        }
    }

    pub(crate) fn keep_pages_small(_start: usize, _bytes: usize) {}

    pub(crate) fn discard(_start: usize, _bytes: usize) -> bool {
        false
    }
}
