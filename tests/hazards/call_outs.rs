//! The C library's functions that the allocation path calls, with trouble planted in them. These definitions take the
//! place of the library's for everything in this program that is Rust.
//!
//! Each can allocate and free, as an interposed library may; fail, as the system may; and leave any value in `errno`,
//! as the standard allows.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};
use std::{io, ptr, thread};

use alloc_profiler::{Totals, set_sampling_interval, size_class, snapshot, testing};

use crate::ALLOCATOR;
use crate::errno::{errno, set_errno};
use crate::harness::{assert_consistent, isolated};

/// If true, every call-out allocates and frees.
static ALLOCATES: AtomicBool = AtomicBool::new(false);
/// If true, the system has no memory, and takes no advice.
pub(crate) static REFUSES: AtomicBool = AtomicBool::new(false);
/// Every call-out leaves this in `errno`.
const LITTER: c_int = 4095;
static LITTERS: AtomicBool = AtomicBool::new(false);

/// The size in bytes of what is planted where only the profiler calls. No other block here has it.
const OWN: usize = 40_000;
/// The size in bytes of what is planted where the standard library calls too.
const ANYBODYS: usize = 50_000;

static MAPPINGS: AtomicU64 = AtomicU64::new(0);
static ADVICE: AtomicU64 = AtomicU64::new(0);
static YIELDS: AtomicU64 = AtomicU64::new(0);
static QUESTIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_PLANTING: Cell<bool> = const { Cell::new(false) };
}

/// Counts a call, and does what is planted. If it returns `false`, the call must fail.
fn called(count: &AtomicU64, bytes: usize) -> bool {
    count.fetch_add(1, Relaxed);
    // It is planted once for each call, since it may call out itself.
    if ALLOCATES.load(Relaxed) && !IS_PLANTING.replace(true) {
        let layout = Layout::from_size_align(bytes, 16).expect("valid");
        // SAFETY: the layout is not empty, and the block is freed with the layout that it has.
        unsafe {
            let block = ALLOCATOR.alloc_zeroed(layout);
            let block = ALLOCATOR.realloc(block, layout, 2 * bytes);
            ALLOCATOR.dealloc(black_box(block), Layout::from_size_align(2 * bytes, 16).expect("valid"));
        }
        IS_PLANTING.set(false);
    }
    if LITTERS.load(Relaxed) {
        set_errno(LITTER);
    }
    if REFUSES.load(Relaxed) {
        set_errno(libc::ENOMEM);
        return false;
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn mmap(
    address: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    if !called(&MAPPINGS, OWN) {
        return libc::MAP_FAILED;
    }
    // SAFETY: this is what the caller asked for.
    let place = unsafe { libc::syscall(libc::SYS_mmap, address, bytes, protection, flags, file, offset) };
    ptr::with_exposed_provenance_mut(place as usize)
}

#[unsafe(no_mangle)]
extern "C" fn madvise(address: *mut c_void, bytes: usize, advice: c_int) -> c_int {
    if !called(&ADVICE, OWN) {
        return -1;
    }
    // SAFETY: this is what the caller asked for.
    unsafe { libc::syscall(libc::SYS_madvise, address, bytes, advice) as c_int }
}

#[unsafe(no_mangle)]
extern "C" fn sched_yield() -> c_int {
    let _ = called(&YIELDS, ANYBODYS);
    // SAFETY: this is what the caller asked for.
    unsafe { libc::syscall(libc::SYS_sched_yield) as c_int }
}

#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(thread: libc::pthread_t, attributes: *mut libc::pthread_attr_t) -> c_int {
    type Function = extern "C" fn(libc::pthread_t, *mut libc::pthread_attr_t) -> c_int;
    static FUNCTION: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    if !called(&QUESTIONS, ANYBODYS) {
        return libc::ENOENT;
    }
    // The function is looked up once, since that needs more stack than the profiler does.
    if FUNCTION.load(Relaxed).is_null() {
        // SAFETY: the name is terminated.
        let function = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_getattr_np".as_ptr()) };
        FUNCTION.store(function, Relaxed);
    }
    // SAFETY: the function of that name is of this type.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(FUNCTION.load(Relaxed)) };
    function(thread, attributes)
}

/// Allocates in every way, from several threads, with tables that grow.
fn work() {
    let mut threads = Vec::new();
    for _ in 0..3 {
        threads.push(thread::spawn(|| {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            for n in 0..20_000_usize {
                kept.push(black_box(vec![0; n % 700 + 1]));
                if n % 3 == 0 {
                    kept.swap_remove(n / 7 % kept.len());
                }
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// A2: whatever the profiler calls may allocate.
#[test]
fn what_is_called_may_allocate() {
    isolated(3, || {
        ALLOCATES.store(true, Relaxed);
        set_sampling_interval(1);
        let before = snapshot();
        let _ = std::fs::metadata("/");
        work();
        testing::with_locks_held(|| ());
        ALLOCATES.store(false, Relaxed);
        let after = snapshot();
        assert_consistent(&after);
        let counts = [&MAPPINGS, &ADVICE, &QUESTIONS].map(|count| count.load(Relaxed));
        assert!(counts.iter().all(|&count| count > 0), "not everything was called: {counts:?}");
        let growth = after.since(&before);
        let of = |bytes: usize| {
            let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size);
            let classes = [size_class(bytes), size_class(2 * bytes)];
            let mut sum = Totals::default();
            sizes.filter(|size| classes.contains(&size.size_class)).for_each(|size| sum += size.totals);
            sum
        };
        assert_eq!(of(OWN), Totals::default(), "what the profiler's call-outs allocate is not the program's");
        assert_eq!(of(ANYBODYS).inuse_objects, 0.0);
    });
}

/// A10: `errno` is the program's.
#[test]
fn errno_stays() {
    isolated(1, || {
        LITTERS.store(true, Relaxed);
        set_sampling_interval(1);
        let layout = Layout::from_size_align(96, 8).expect("valid");
        for (refuses, count) in [(false, 10_000), (true, 40_000)] {
            let mapped = MAPPINGS.load(Relaxed);
            thread::spawn(move || {
                let mut blocks = vec![ptr::null_mut(); count];
                REFUSES.store(refuses, Relaxed);
                for block in &mut blocks {
                    set_errno(77);
                    // SAFETY: the layout is not empty.
                    *block = unsafe { ALLOCATOR.alloc(layout) };
                    assert_eq!(errno(), 77, "after alloc");
                }
                for block in blocks {
                    set_errno(78);
                    // SAFETY: the block has this layout, and is not used any more.
                    unsafe { ALLOCATOR.dealloc(block, layout) };
                    assert_eq!(errno(), 78, "after dealloc");
                }
                REFUSES.store(false, Relaxed);
            })
            .join()
            .expect("no panic");
            assert!(MAPPINGS.load(Relaxed) > mapped, "nothing was called that could leave litter");
        }
        assert!(QUESTIONS.load(Relaxed) > 0);
        assert_eq!(io::Error::from_raw_os_error(LITTER).raw_os_error(), Some(LITTER));
    });
}

/// A14, A5: where the profiler gets no memory and no answer, the program goes on, everything is counted, and the
/// profile says what is missing.
#[test]
fn what_is_called_may_fail() {
    isolated(1, || {
        // The first blocks fill tables that have pages of their own, and for the others these have no room.
        const FIRST: usize = 60_000;
        const BLOCKS: usize = 140_000;
        let layout = Layout::from_size_align(256, 8).expect("valid");
        let mut blocks = Vec::with_capacity(BLOCKS);
        set_sampling_interval(1);
        let before = snapshot();
        for number in 0..BLOCKS {
            if number == FIRST {
                REFUSES.store(true, Relaxed);
            }
            // SAFETY: the layout is not empty.
            let block = unsafe { ALLOCATOR.alloc(layout) };
            assert!(!block.is_null());
            blocks.push(black_box(block));
        }
        let growth = snapshot().since(&before);
        REFUSES.store(false, Relaxed);
        let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size).chain(&growth.overflow);
        let mut totals = Totals::default();
        sizes.filter(|size| size.size_class == 256).for_each(|size| totals += size.totals);
        assert_eq!((totals.alloc_objects, totals.alloc_bytes), (BLOCKS as f64, 256.0 * BLOCKS as f64));
        assert!(growth.dropped.live_full > 0, "{:?}", growth.dropped);
        assert!(totals.inuse_objects >= BLOCKS as f64 - growth.dropped.live_full as f64);
        for block in blocks {
            // SAFETY: the block has this layout, and is not used any more.
            unsafe { ALLOCATOR.dealloc(block, layout) };
        }
        assert_consistent(&growth);

        // All is well again once there is memory.
        let before = snapshot();
        let kept = black_box(vec![1_u8; 1234]);
        let growth = snapshot().since(&before);
        assert_eq!(growth.totals().inuse_bytes, 1234.0, "{growth:?}");
        drop(kept);
    });
}
