//! This asks glibc's `malloc` how many bytes it holds. They are the link between what a program has in use and what of
//! it is resident.
//!
//! An allocator keeps freed pages for the next allocation. Memory that it holds and the program does not use is no
//! leak, and whoever hunts a leak must know how much that is.
//!
//! Path: *read path*, on request only; `note_inner` is on the allocation path, sampled allocations only.

use std::alloc::System;
use std::any::type_name;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::c_allocators::CLibrary;

/// The bytes that glibc's `malloc` has in all of its arenas. They are exact, not estimated, and include the blocks that C
/// code allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MallocStats {
    /// Bytes that it got from the operating system and has not given back: the sum of the other two. Not all of them need
    /// be resident.
    pub held_bytes: u64,
    /// Bytes in blocks that are allocated, with their headers and padding.
    pub inuse_bytes: u64,
    /// Bytes that are free and kept for later. [`release_free_memory`](crate::release_free_memory) gives whole pages of
    /// them back.
    pub free_bytes: u64,
}

/// Asks glibc what its `malloc` holds.
///
/// The answer is `None` where it would tell of another heap than the program's, or of nothing: if the inner allocator of
/// the `SamplingAllocator` is not [`System`](std::alloc::System) or [`CLibrary`](crate::CLibrary), if `malloc` is not glibc's (jemalloc or tcmalloc may be
/// preloaded or linked under that name), before glibc 2.33, and on other systems. It is `None` as well in a program at
/// fixed addresses (`-C relocation-model=static`), where the address of `malloc` is one within the program and so does not
/// tell whose `malloc` it is.
///
/// # Cost
///
/// glibc walks the free blocks of each arena under that arena's lock, and threads that allocate from it wait. A free block
/// took 0.4 µs, so a fragmented heap of 1 GiB with 1.3 million of them took 0.5 s. Do not call this function where a pause of
/// that length does harm.
#[must_use]
pub fn malloc_stats() -> Option<MallocStats> {
    // A program that defines `malloc` itself has one that is not glibc's. What it leads to is.
    let is_glibc = IS_C_LIBRARY.load(Relaxed) || IS_SYSTEM.load(Relaxed) && glibc::is_malloc_of_c_library();
    if is_glibc { glibc::ask() } else { None }
}

/// Whether the inner allocator is the system's, which calls `malloc`.
static IS_SYSTEM: AtomicBool = AtomicBool::new(false);
/// Whether the inner allocator is the C library's under its other name.
static IS_C_LIBRARY: AtomicBool = AtomicBool::new(false);

/// Notes that blocks come from an allocator of type `A`. Types are told apart by name, since an allocator need not be
/// `'static`; no other type has the name of `System`.
pub(crate) fn note_inner<A>() {
    // The load comes first, because a store would move the cache line between the processors each time.
    if type_name::<A>() == type_name::<System>() {
        if !IS_SYSTEM.load(Relaxed) {
            IS_SYSTEM.store(true, Relaxed);
        }
    } else if type_name::<A>() == type_name::<CLibrary>() && !IS_C_LIBRARY.load(Relaxed) {
        IS_C_LIBRARY.store(true, Relaxed);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use super::MallocStats;
    use std::ffi::{CStr, c_void};
    use std::mem::MaybeUninit;

    pub(super) fn ask() -> Option<MallocStats> {
        // glibc has had this function since 2.33. A program that is linked to it would not start on an older one.
        let address = symbol(c"mallinfo2")?;
        // SAFETY: `malloc` is the C library's, which defines the symbol of this name as a function of this type. The loader
        // keeps the C library as long as the process runs.
        let mallinfo2: unsafe extern "C" fn() -> libc::mallinfo2 = unsafe { std::mem::transmute(address) };
        // SAFETY: the function takes no pointer, and may be called at any time from any thread.
        let info = unsafe { mallinfo2() };
        let mapped = info.hblkhd as u64;
        let told = MallocStats {
            held_bytes: (info.arena as u64).saturating_add(mapped),
            inuse_bytes: (info.uordblks as u64).saturating_add(mapped),
            free_bytes: info.fordblks as u64,
        };
        // A process always has blocks. Where glibc has none, they are those of another allocator, which took its place in a
        // way that cannot be seen from here.
        (told.held_bytes > 0).then_some(told)
    }

    /// Whether the `malloc` that this image calls lies in the same image as a function of the C library that nobody replaces.
    pub(super) fn is_malloc_of_c_library() -> bool {
        let malloc: unsafe extern "C" fn(usize) -> *mut c_void = libc::malloc;
        let c_library = symbol(c"gnu_get_libc_version").and_then(image_of);
        // mutant: D12 whatever malloc is there is taken for glibc's
        c_library.is_some() && image_of(malloc as *const c_void) == c_library
    }

    /// Returns the address of the symbol of this name in the process, if there is one.
    fn symbol(name: &CStr) -> Option<*const c_void> {
        // SAFETY: the name is a C string, and the handle is one that needs no opening.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const())
    }

    /// Returns where the image begins that has `address`.
    fn image_of(address: *const c_void) -> Option<*mut c_void> {
        let mut info = MaybeUninit::<libc::Dl_info>::uninit();
        // SAFETY: any address may be asked about, and the room is there to be written to.
        let is_found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
        // SAFETY: the loader fills the structure in where it returns other than 0.
        is_found.then(|| unsafe { info.assume_init() }.dli_fbase)
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod glibc {
    pub(super) fn ask() -> Option<super::MallocStats> {
        None
    }

    pub(super) fn is_malloc_of_c_library() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_system_s_allocator_is_taken_for_it() {
        struct Other;
        note_inner::<Other>();
        note_inner::<crate::SamplingAllocator<System>>();
        assert_eq!(malloc_stats(), None);
        note_inner::<System>();
        assert_eq!(malloc_stats().is_some(), glibc::ask().is_some() && glibc::is_malloc_of_c_library());
        note_inner::<CLibrary>();
        assert_eq!(malloc_stats().is_some(), glibc::ask().is_some());
    }
}
