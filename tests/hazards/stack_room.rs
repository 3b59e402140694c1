//! A9: threads have little stack left, or much of it.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use alloc_profiler::{MAX_STACK_DEPTH, set_sampling_interval, snapshot};

use crate::ALLOCATOR;
use crate::harness::{assert_consistent, isolated, pick};

/// So much stack in bytes is promised to suffice, also where unwind rules must be found first. Released code needs no
/// more.
const RECORDING_BYTES: usize = if cfg!(debug_assertions) { 20 << 10 } else { 6 << 10 };
/// So much is promised to suffice where the rules are known.
const AGAIN_BYTES: usize = if cfg!(debug_assertions) { 8 << 10 } else { 3 << 10 };
/// So much is promised to suffice where there is no room for recording. (The system's allocator comes on top.)
const BARE_BYTES: usize = if cfg!(debug_assertions) { 4 << 10 } else { 1 << 10 };

/// Returns the lowest address of this thread's stack.
fn stack_low() -> usize {
    let mut attributes = std::mem::MaybeUninit::uninit();
    let (mut low, mut bytes) = (std::ptr::null_mut(), 0);
    // SAFETY: the calls fill in the attributes of the calling thread.
    unsafe {
        assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut bytes), 0);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    low.addr()
}

/// Uses up this thread's stack until `left` bytes are left, then calls `work`.
#[inline(never)]
fn descend(low: usize, left: usize, work: &dyn Fn()) {
    let here = [0_u8; 64];
    if black_box(&raw const here).addr() - low > left {
        descend(low, left, work)
    } else {
        work()
    }
    black_box(&here);
}

fn on_stack_of<R: Send>(bytes: usize, work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(bytes).spawn_scoped(scope, work);
        thread.expect("a thread").join().expect("no panic")
    })
}

fn allocate_and_free(count: usize) {
    let layout = Layout::from_size_align(640, 16).expect("valid");
    for _ in 0..count {
        // SAFETY: the layout is not empty, and the block is freed with it.
        unsafe {
            let block = ALLOCATOR.alloc(layout);
            ALLOCATOR.dealloc(black_box(block), layout);
        }
    }
}

/// Returns how deep `work` reaches below its caller, by the marks that it leaves.
#[inline(never)]
fn painted(low: usize, work: impl FnOnce()) -> usize {
    const PAINT: u8 = 0xA5;
    // This is out of the way of the frames of this loop itself.
    const MARGIN: usize = 512;
    let here = 0_u8;
    let here = black_box(&raw const here).addr();
    let cells = (low..here - MARGIN).map(std::ptr::with_exposed_provenance_mut::<u8>);
    // SAFETY: this is the thread's own stack below its stack pointer, where nothing is.
    cells.clone().for_each(|cell| unsafe { cell.write_volatile(PAINT) });
    work();
    // SAFETY: this too is the thread's own stack below its stack pointer.
    let touched = cells.clone().find(|cell| unsafe { cell.read_volatile() } != PAINT);
    touched.map_or(0, |cell| here - cell.addr())
}

/// Returns how deep allocating reaches in a new thread at a sampling interval.
fn stack_used(interval: u64) -> usize {
    set_sampling_interval(interval);
    on_stack_of(256 << 10, || {
        let low = stack_low();
        painted(low, || allocate_and_free(3))
    })
}

#[test]
fn recording_needs_little_stack() {
    isolated(pick(2, 10), || {
        // This comes first of all in this process, so that no rule is known yet.
        let unsampled = stack_used(0);
        let needed = stack_used(1).saturating_sub(unsampled);
        let again = stack_used(1).saturating_sub(unsampled);
        println!(
            "recording a sample needs {needed} bytes of stack, and {again} bytes at a place that is known"
        );
        assert!(needed > 1000 && again > 1000, "{needed}, {again}: nothing was measured");
        assert!(needed <= RECORDING_BYTES, "{needed} bytes of stack for a sample");
        assert!(again <= AGAIN_BYTES, "{again} bytes of stack for a sample at a known place");
    });
}

#[test]
fn where_little_stack_is_left_none_is_taken() {
    isolated(pick(2, 10), || {
        set_sampling_interval(1);
        for kibibytes in [16, 24, 32, 64, 256] {
            let before = snapshot();
            on_stack_of(kibibytes << 10, || {
                let low = stack_low();
                // The system's allocator has asked for what it needs before.
                descend(low, BARE_BYTES + 2048, &|| allocate_and_free(10));
            });
            let growth = snapshot().since(&before);
            assert!(growth.dropped.low_stack >= 10, "{:?}", growth.dropped);
            assert_consistent(&growth);
            let sizes = growth.stacks.iter().filter(|stack| stack.trace.frames.is_empty());
            let counted: f64 =
                sizes.flat_map(|stack| &stack.by_size).map(|size| size.totals.alloc_objects).sum();
            assert_eq!(counted, growth.dropped.low_stack as f64, "all are counted, under the empty stack");
        }
    });
}

#[test]
fn deep_recursion_is_cut_and_costs_no_more() {
    #[inline(never)]
    fn recurse(depth: usize, work: &dyn Fn()) {
        if depth == 0 {
            work()
        } else {
            recurse(depth - 1, work)
        }
        black_box(depth);
    }

    isolated(1, || {
        set_sampling_interval(1);
        let before = snapshot();
        let (deep, shallow) = on_stack_of(64 << 20, || {
            let time = || {
                let start = Instant::now();
                allocate_and_free(10_000);
                start.elapsed()
            };
            let (mut deep, mut shallow) = (Duration::ZERO, Duration::ZERO);
            let cell = std::cell::Cell::new(Duration::ZERO);
            recurse(200, &|| cell.set(time()));
            shallow += cell.get();
            recurse(100_000, &|| cell.set(time()));
            deep += cell.get();
            (deep, shallow)
        });
        let growth = snapshot().since(&before);
        assert!(growth.dropped.truncated_stacks >= 20_000, "{:?}", growth.dropped);
        assert_eq!(growth.dropped.low_stack, 0);
        let depths = growth.stacks.iter().map(|stack| stack.trace.frames.len());
        assert_eq!(depths.max(), Some(MAX_STACK_DEPTH));
        assert!(deep < shallow * 20 + Duration::from_secs(1), "{deep:?} at depth, {shallow:?} above");
    });
}
