//! What the system's allocator holds: the link between what a program has in use and what of it is resident.
//!
//! An allocator keeps freed pages for the next allocation. Memory that it holds and the program does not use is no
//! leak; whoever hunts one must know how much that is.
//!
//! Path: *read path*, on request only; `note_inner` on the sampled path.

use std::alloc::System;
use std::any::type_name;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes that glibc's `malloc` has, in all of its arenas. Exact, not estimated; blocks that C code allocated included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MallocStats {
    /// Got from the operating system and not given back: the sum of the other two. Not all of it need be resident.
    pub held_bytes: u64,
    /// In blocks that are allocated, with their headers and padding.
    pub inuse_bytes: u64,
    /// Free, kept for later: [`release_free_memory`](crate::release_free_memory) gives whole pages of it back.
    pub free_bytes: u64,
}

/// Asks glibc what its `malloc` holds. `None` if the allocator within the `SamplingAllocator` is not
/// [`System`](std::alloc::System), if `malloc` is not glibc's, as where jemalloc or tcmalloc was preloaded or linked
/// under that name, before glibc 2.33, and elsewhere: then it would tell of another heap than the program's, or nothing.
///
/// # Cost
///
/// glibc walks the free blocks of each arena under that arena's lock, and threads that allocate from it wait: 0.4 µs
/// for each free block were measured, so 0.5 s over a fragmented heap of 1 GiB with 1.3 million of them. Do not call it
/// where a pause of that length does harm.
#[must_use]
pub fn malloc_stats() -> Option<MallocStats> {
    if IS_INNER.load(Relaxed) { glibc::ask() } else { None }
}

/// Whether the allocator within is the system's.
static IS_INNER: AtomicBool = AtomicBool::new(false);

/// Notes which allocator blocks come from. Types are told apart by name, since an allocator need not live for ever; no
/// other type can have this one's.
pub(crate) fn note_inner<A>() {
    // A load first: the line of a store would move between the processors.
    if type_name::<A>() == type_name::<System>() && !IS_INNER.load(Relaxed) {
        IS_INNER.store(true, Relaxed);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use super::MallocStats;
    use std::ffi::{CStr, c_void};
    use std::mem::MaybeUninit;

    pub(super) fn ask() -> Option<MallocStats> {
        if !is_malloc_of_c_library() {
            return None;
        }
        // glibc has it since 2.33, and linking to it would keep a program from starting on older.
        let address = symbol(c"mallinfo2")?;
        // SAFETY: the C library, which `malloc` is of, defines the symbol of this name as a function of this type; the
        // loader keeps it as long as the process.
        let mallinfo2: unsafe extern "C" fn() -> libc::mallinfo2 = unsafe { std::mem::transmute(address) };
        // SAFETY: takes no pointer, and may be called at any time from any thread.
        let info = unsafe { mallinfo2() };
        let mapped = info.hblkhd as u64;
        let told = MallocStats {
            held_bytes: (info.arena as u64).saturating_add(mapped),
            inuse_bytes: (info.uordblks as u64).saturating_add(mapped),
            free_bytes: info.fordblks as u64,
        };
        // A process has blocks. Where glibc has none, they are another allocator's, which took its place in a way that
        // cannot be seen from here.
        (told.held_bytes > 0).then_some(told)
    }

    /// Whether `malloc`, as this object calls it, is defined where functions are that nobody puts another in the place of.
    fn is_malloc_of_c_library() -> bool {
        let malloc: unsafe extern "C" fn(usize) -> *mut c_void = libc::malloc;
        let c_library = symbol(c"gnu_get_libc_version").and_then(object_of);
        // mutant: D12 whatever malloc is there is taken for glibc's
        c_library.is_some() && object_of(malloc as *const c_void) == c_library
    }

    /// What a name leads to in the process, if to anything.
    fn symbol(name: &CStr) -> Option<*const c_void> {
        // SAFETY: the name is a C string, and the handle one that needs no opening.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const())
    }

    /// Where the object begins that has `address`.
    fn object_of(address: *const c_void) -> Option<*mut c_void> {
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
        assert_eq!(malloc_stats().is_some(), glibc::ask().is_some());
    }
}
