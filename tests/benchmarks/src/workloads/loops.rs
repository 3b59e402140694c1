//! Small loops that live on the allocator alone: a profiler has nowhere to hide in them.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::hint::black_box;
use std::ptr::NonNull;

use super::{Outcome, threads};
use crate::clock::nanos_per_operation;
use crate::request::Request;

/// Allocates a block of 64 bytes and frees it at once. (It is not filled with zeros: that would be `alloc_zeroed`.)
pub(super) fn alloc_free(request: &Request) -> Outcome {
    threads::in_each(request, |length| {
        nanos_per_operation(length, 10_000, |operations| {
            for _ in 0..operations {
                drop(black_box(Box::new([1_u64; 8])));
            }
        })
    })
}

/// Holds 20 000 live blocks of 16 to 515 bytes, and replaces one at a time by one of another size.
pub(super) fn churn(request: &Request) -> Outcome {
    threads::in_each(request, |length| {
        let mut numbers = Numbers(1);
        let mut size = move || 16 + numbers.next() % 500;
        let mut numbers = Numbers(2);
        let mut blocks: Vec<Vec<u8>> = (0..20_000).map(|_| Vec::with_capacity(size())).collect();
        nanos_per_operation(length, 10_000, |operations| {
            for _ in 0..operations {
                let index = numbers.next() % blocks.len();
                blocks[index] = black_box(Vec::with_capacity(size()));
            }
        })
    })
}

/// Grows a vector to 32 MB by doubling, line by line. This takes 20 reallocations, and most bytes are in the last few.
pub(super) fn grow(request: &Request) -> Outcome {
    nanos_per_operation(request.length, 1, |operations| {
        for _ in 0..operations {
            let mut text: Vec<u8> = Vec::new();
            while text.len() < 32_000_000 {
                text.extend_from_slice(black_box(&[0; 64]));
            }
            black_box(text);
        }
    })
    .into()
}

/// Resizes one block to 128 bytes and back to 64, which shows what `realloc` itself costs.
pub(super) fn regrow(request: &Request) -> Outcome {
    let [small, large] = [64, 128].map(|size| Layout::from_size_align(size, 8).expect("a valid layout"));
    // SAFETY: the layout is not of size zero.
    let mut block = unsafe { alloc(small) };
    let nanos = nanos_per_operation(request.length, 10_000, |operations| {
        for _ in 0..operations {
            // SAFETY: the block was allocated here with each time the layout that is stated.
            unsafe {
                block = checked(realloc(black_box(block), small, large.size()), large);
                block = checked(realloc(black_box(block), large, small.size()), small);
            }
        }
    });
    // SAFETY: the block was allocated here, last with this layout.
    unsafe { dealloc(checked(block, small), small) };
    nanos.into()
}

/// Allocates 256 bytes aligned to a cache line, and frees them at once.
///
/// In glibc an aligned block is cut out of a larger one, and how long that takes depends on which blocks are free: as much
/// as half as long again, by nothing but how long the command line is. So there are others in each batch.
pub(super) fn aligned(request: &Request) -> Outcome {
    let layout = Layout::from_size_align(256, 64).expect("a valid layout");
    let mut numbers = Numbers(4);
    nanos_per_operation(request.length, 2_000, |operations| {
        let mut others: Vec<Vec<u8>> =
            (0..64).map(|_| Vec::with_capacity(16 + numbers.next() % 2000)).collect();
        others.retain(|other| other.capacity() % 2 == 0);
        for _ in 0..operations {
            // SAFETY: the layout is not of size zero, and the block is freed once, with its own layout.
            unsafe {
                let block = checked(alloc(black_box(layout)), layout);
                dealloc(black_box(block), layout);
            }
        }
    })
    .into()
}

/// Allocates a zeroed page and frees it at once.
pub(super) fn zeroed(request: &Request) -> Outcome {
    let layout = Layout::from_size_align(4096, 1).expect("a valid layout");
    // This calls the allocator by pointer: if its code were inlined into this loop, check-fast-path could not find it.
    let alloc_zeroed: unsafe fn(Layout) -> *mut u8 = black_box(alloc_zeroed);
    nanos_per_operation(request.length, 1_000, |operations| {
        for _ in 0..operations {
            // SAFETY: the layout is not of size zero, and the block is freed once, with its own layout.
            unsafe {
                let block = checked(alloc_zeroed(layout), layout);
                dealloc(black_box(block), layout);
            }
        }
    })
    .into()
}

fn checked(block: *mut u8, layout: Layout) -> *mut u8 {
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout)).as_ptr()
}

/// Draws from Knuth's linear congruential generator. It takes a few instructions, and gives the same numbers in every
/// run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }
}
