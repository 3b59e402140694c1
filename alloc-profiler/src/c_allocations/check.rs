//! Whether C's allocations are counted, which is found out by trying.

/// Whether C's allocations are counted: see [`c_allocations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CAllocations {
    /// They are not: the program has no [`define_malloc!`](crate::define_malloc), or the C library calls another definition than that.
    NotCounted,
    /// They are.
    Counted,
    /// They are, and Rust's own are counted twice: the inner allocator of the `SamplingAllocator` calls `malloc`, as
    /// [`System`](std::alloc::System) does. Take [`CLibrary`](crate::CLibrary) instead.
    CountedWithRustTwice,
    /// They are; and an allocator that was preloaded (`LD_PRELOAD`) gets none of them, because a program's own functions come first. A
    /// function that only the other one has must not be given their blocks.
    CountedDespitePreloaded,
}

/// Tells whether C's allocations are counted. The first call tries it: whether a function of the C library that allocates is noticed.
///
/// # Cost
///
/// The first call allocates and frees two small blocks. Where these are counted it also asks the loader for two names, for which it may
/// wait while a library is being opened. Later calls load a byte.
#[must_use]
pub fn c_allocations() -> CAllocations {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    return asked::remembered();
    #[cfg(not(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static"))))]
    CAllocations::NotCounted
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
mod asked {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    use super::CAllocations;
    use crate::sampling::pause;

    /// How the program was linked and started does not change, so one trial is enough. Of two threads that try at once, both find the same.
    pub(super) fn remembered() -> CAllocations {
        static FOUND: AtomicU8 = AtomicU8::new(NOT_TRIED);
        const NOT_TRIED: u8 = u8::MAX;
        const ANSWERS: [CAllocations; 4] = [
            CAllocations::NotCounted,
            CAllocations::Counted,
            CAllocations::CountedWithRustTwice,
            CAllocations::CountedDespitePreloaded,
        ];
        if let Some(&found) = ANSWERS.get(usize::from(FOUND.load(Relaxed))) {
            return found;
        }
        let found = tried();
        FOUND.store(found as u8, Relaxed);
        found
    }

    fn tried() -> CAllocations {
        const TEXT: &std::ffi::CStr = c"a text of so many bytes";
        let bytes = TEXT.count_bytes() as i64;
        let duplicate = || {
            // SAFETY: the text is terminated, and the block is the caller's, who frees it.
            unsafe { libc::free(black_box(libc::strdup(TEXT.as_ptr())).cast()) }
        };
        if pause::bytes_counted(duplicate) < bytes {
            return CAllocations::NotCounted;
        }
        if pause::bytes_counted(|| drop(black_box(vec![0_u8; TEXT.count_bytes()]))) > bytes {
            return CAllocations::CountedWithRustTwice;
        }
        if is_other_preloaded() { CAllocations::CountedDespitePreloaded } else { CAllocations::Counted }
    }

    /// Whether another library than the C library is the next to define `malloc` after the program.
    fn is_other_preloaded() -> bool {
        // SAFETY: the names are terminated, and the handles are constants.
        let [next, c_library] = unsafe {
            [
                libc::dlsym(libc::RTLD_NEXT, c"malloc".as_ptr()),
                libc::dlsym(libc::RTLD_DEFAULT, c"__libc_malloc".as_ptr()),
            ]
        };
        !next.is_null() && next != c_library
    }
}
