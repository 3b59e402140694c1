//! The functions that a program defines.

/// Defines `malloc` and the functions beside it for the whole program, so that what C and C++ code allocates is sampled too.
///
/// It is written in a program's own crate, and once. `pprof_server::install!(c_allocations = true)` writes it. In a program without
/// that, Rust's own allocator must be one that does not call `malloc`, or its allocations are counted twice:
///
/// ```ignore
/// use alloc_profiler::{CLibrary, SamplingAllocator};
///
/// alloc_profiler::define_malloc!();
/// #[global_allocator]
/// static ALLOCATOR: SamplingAllocator<CLibrary> = SamplingAllocator::with_allocator(CLibrary);
/// ```
///
/// | written as | C's memory comes from |
/// |---|---|
/// | `define_malloc!()` | the C library, as without this |
/// | `define_malloc!(mimalloc)` | mimalloc: see [`MiMalloc`](crate::MiMalloc) |
/// | `define_malloc!(jemalloc)` | jemalloc: see [`Jemalloc`](crate::Jemalloc) |
/// | `define_malloc!(Type)` | another [`CAllocator`](crate::CAllocator), whose blocks are the C library's |
///
/// Defined are `malloc`, `calloc`, `realloc`, `free`, `memalign`, `aligned_alloc`, `posix_memalign`, `valloc` and `pvalloc`, over
/// mimalloc and jemalloc also `malloc_usable_size`. The C library's other functions (`reallocarray`, `strdup`, C++'s `new`) call
/// these. `aligned_alloc` is `memalign`, as in glibc before 2.38: an alignment that is no power of two is rounded up.
///
/// It does nothing but on Linux with glibc, and nothing in a program that is linked statically, since that has glibc's `malloc`
/// linked already. A library that is opened at run time cannot have it: such a library does not link.
/// [`c_allocations`](crate::c_allocations) tells whether it took effect.
///
/// # Cost
///
/// Each call by C code costs what one of a [`SamplingAllocator`](crate::SamplingAllocator) costs, and a jump. A program without the macro
/// pays nothing.
#[macro_export]
macro_rules! define_malloc {
    () => {
        $crate::define_malloc!($crate::CLibrary);
    };
    (mimalloc) => {
        $crate::define_malloc!(@usable_size $crate::MiMalloc);
        $crate::define_malloc!($crate::MiMalloc);
    };
    (jemalloc) => {
        $crate::define_malloc!(@usable_size $crate::Jemalloc);
        $crate::define_malloc!($crate::Jemalloc);
    };
    (@usable_size $allocator:path) => {
        #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
        const _: () = {
            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc_usable_size(block: *mut ::core::ffi::c_void) -> usize {
                // SAFETY: the caller's promise is that of the C function, and all blocks are this allocator's.
                unsafe { <$allocator>::usable_size(block) }
            }
        };
    };
    ($allocator:path) => {
        #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
        const _: () = {
            use ::core::ffi::{c_int, c_void};
            use $crate::internal::c_allocations as ours;

            // The loader calls it before the constructors of all libraries. Only a program may have it.
            #[used]
            #[unsafe(link_section = ".preinit_array")]
            static PREPARE: extern "C" fn() = ours::prepare;

            // SAFETY, of each call below: the caller's promise is that of the C function of this name, which is what the function
            // that is called wants.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::malloc::<$allocator>(size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::calloc::<$allocator>(count, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::realloc::<$allocator>(block, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free(block: *mut c_void) {
                // SAFETY: as said above.
                unsafe { ours::functions::free::<$allocator>(block) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::memalign::<$allocator>(alignment, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::memalign::<$allocator>(alignment, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn posix_memalign(
                result: *mut *mut c_void,
                alignment: usize,
                size: usize,
            ) -> c_int {
                // SAFETY: as said above.
                unsafe { ours::functions::posix_memalign::<$allocator>(result, alignment, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::valloc::<$allocator>(size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
                // SAFETY: as said above.
                unsafe { ours::functions::pvalloc::<$allocator>(size) }
            }
        };
    };
}
