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

/// Tries whether C's allocations are counted: whether a function of the C library that allocates is noticed.
///
/// # Cost
///
/// It allocates and frees two small blocks, and asks the loader for two names.
#[must_use]
pub fn c_allocations() -> CAllocations {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    return asked::c_allocations();
    #[cfg(not(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static"))))]
    CAllocations::NotCounted
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
mod asked {
    use std::hint::black_box;

    use super::CAllocations;
    use crate::sampling::pause;

    pub(super) fn c_allocations() -> CAllocations {
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
