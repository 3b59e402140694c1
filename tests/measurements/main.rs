//! What a measurement tells is exact: of a thread, whatever others do meanwhile, and of the process.

mod process;
mod truth;

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::panic::catch_unwind;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread;

use alloc_profiler::{CannotMeasure, Measured, Measurement, SamplingAllocator, measure, unsampled};
use truth::{ThreadCounting, Truth};

#[global_allocator]
static ALLOCATOR: SamplingAllocator<ThreadCounting> = SamplingAllocator::with_allocator(ThreadCounting);

/// The sums over the stacks are the totals.
fn stacks_add_up(measured: &Measured) {
    let sum = |of: fn(&alloc_profiler::MeasuredStack) -> u64| measured.stacks.iter().map(of).sum::<u64>();
    assert_eq!(sum(|stack| stack.alloc_objects), measured.alloc_objects);
    assert_eq!(sum(|stack| stack.alloc_bytes), measured.alloc_bytes);
    assert_eq!(sum(|stack| stack.inuse_objects), measured.inuse_objects());
    assert_eq!(sum(|stack| stack.inuse_bytes), measured.inuse_bytes());
    assert!(measured.is_exact(), "{measured}");
}

/// Measures `work`, which must free nothing that was there before, and compares with the truth.
fn exactly<R>(work: impl FnOnce() -> R) -> (R, Measured) {
    let measurement = Measurement::of_thread().expect("it can be measured");
    let (result, truth) = Truth::of(work);
    let measured = measurement.end().expect("nobody forks");
    assert_eq!(Truth::of_measured(&measured), truth, "{measured}");
    stacks_add_up(&measured);
    (result, measured)
}

/// Allocates, grows, shrinks and frees by all four methods of the allocator, and returns what is left.
fn any_work(seed: u64, steps: u64) -> Vec<Vec<u8>> {
    let mut random = seed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % below
    };
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut tree = BTreeMap::new();
    for step in 0..steps {
        let size = next(3000) as usize + 1;
        match next(6) {
            0 => kept.push(black_box(vec![0; size])),
            1 => kept.push(black_box(vec![7; size])),
            2 if !kept.is_empty() => {
                let index = next(kept.len() as u64) as usize;
                kept[index].resize(size, 1);
                kept[index].shrink_to_fit();
            }
            3 if !kept.is_empty() => drop(kept.swap_remove(next(kept.len() as u64) as usize)),
            4 => drop(tree.insert(next(50), step.to_string())),
            _ => drop(tree.remove(&next(50))),
        }
    }
    kept.truncate(10);
    kept
}

#[test]
fn eight_threads_at_once_are_each_exact() {
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 0..8 {
            let start = &start;
            scope.spawn(move || {
                for round in 0..20 {
                    // Each round begins while all others do.
                    start.wait();
                    let (kept, measured) = exactly(|| any_work(thread * 100 + round, 2000));
                    assert!(measured.alloc_objects > 500, "{measured}");
                    drop(kept);
                }
            });
        }
    });
}

#[test]
fn a_block_that_another_thread_frees_is_noticed() {
    let (to_other, from_here) = channel::<Box<[u8; 1000]>>();
    let (to_here, from_other) = channel();
    let other = thread::spawn(move || {
        for block in from_here {
            drop(block);
            to_here.send(()).expect("somebody waits");
        }
    });
    let mut sent = Box::new([0; 1000]);
    // The channels' own memory comes and goes in blocks. One message before makes it be there.
    to_other.send(sent).expect("the other thread listens");
    from_other.recv().expect("it is freed");
    for is_freed_before in [true, false] {
        let measurement = Measurement::of_thread().expect("it can be measured");
        sent = black_box(Box::new([1; 1000]));
        if is_freed_before {
            to_other.send(sent).expect("the other thread listens");
            from_other.recv().expect("it is freed");
        } else {
            std::mem::forget(sent);
        }
        let measured = measurement.end().expect("nobody forks");
        let of_blocks = measured.stacks.iter().find(|stack| stack.alloc_bytes == 1000).expect("its stack");
        assert_eq!(of_blocks.inuse_objects, u64::from(!is_freed_before), "{measured}");
        assert_eq!(measured.inuse_bytes() >= 1000, !is_freed_before, "{measured}");
    }
    drop(to_other);
    other.join().expect("no panic");
}

#[test]
fn what_was_there_before_does_not_count() {
    let (mut before, mut grown) = (vec![0_u8; 5000], vec![0_u8; 100]);
    let ((), first) = measure(|| drop(std::mem::take(&mut before))).unwrap();
    assert_eq!(Truth::of_measured(&first), Truth::default());
    // A block of an earlier measurement, of the same thread, is one that was there before.
    let (block, _) = measure(|| black_box(Box::new([0_u64; 10]))).unwrap();
    let ((), second) = measure(|| {
        drop(block);
        grown.reserve_exact(200);
    })
    .unwrap();
    let expected = Truth { alloc_objects: 1, alloc_bytes: 300, peak_bytes: 300, ..Truth::default() };
    assert_eq!(Truth::of_measured(&second), expected, "{second}");
    stacks_add_up(&second);
}

#[test]
fn a_realloc_that_fails_changes_nothing() {
    let layout = Layout::new::<[u8; 100]>();
    let (_, measured) = exactly(|| {
        // SAFETY: the layout is not empty; a failed `realloc` leaves the block as it was.
        unsafe {
            let block = ALLOCATOR.alloc(layout);
            assert!(ALLOCATOR.realloc(block, layout, isize::MAX as usize - 4096).is_null());
            let other = ALLOCATOR.alloc(layout);
            ALLOCATOR.dealloc(block, layout);
            ALLOCATOR.dealloc(other, layout);
        }
    });
    assert_eq!((measured.peak_bytes, measured.freed_objects), (200, 2));
}

#[test]
fn what_an_inner_measurement_counts_the_outer_one_counts_too() {
    let outer = Measurement::of_thread().unwrap();
    let kept = black_box(vec![0_u8; 10]);
    let mut inner = Vec::with_capacity(2);
    for size in [100, 1000] {
        let (block, measured) = measure(|| black_box(vec![0_u8; size])).unwrap();
        inner.push(measured);
        drop(block);
    }
    let outer = outer.end().unwrap();
    for (inner, size) in inner.iter().zip([100, 1000]) {
        let expected = Truth { alloc_objects: 1, alloc_bytes: size, peak_bytes: size, ..Truth::default() };
        assert_eq!(Truth::of_measured(inner), expected, "{inner}");
        stacks_add_up(inner);
    }
    let list = 2 * size_of::<Measured>() as u64;
    let expected = Truth {
        alloc_objects: 4,
        alloc_bytes: 1110 + list,
        freed_objects: 2,
        freed_bytes: 1100,
        peak_bytes: 1010 + list,
    };
    assert_eq!(Truth::of_measured(&outer), expected, "{outer}");
    stacks_add_up(&outer);
    drop(kept);
}

#[test]
fn measurements_may_end_in_any_order_and_five_are_too_many() {
    let mut running: Vec<Measurement> = Vec::with_capacity(8);
    let mut blocks = Vec::with_capacity(8);
    for size in 1..=4_usize {
        running.push(Measurement::of_thread().unwrap());
        blocks.push(black_box(vec![0_u8; 10_usize.pow(size as u32)]));
    }
    assert_eq!(Measurement::of_thread().unwrap_err(), CannotMeasure::TooDeep);
    let first = running.remove(0).end().unwrap();
    assert_eq!((first.alloc_objects, first.alloc_bytes), (4, 11_110), "{first}");
    drop(blocks.pop());
    // There is room for another one, which does not count what the others count.
    let other = Measurement::of_thread().unwrap();
    drop(blocks.remove(0));
    let last = running.pop().unwrap().end().unwrap();
    assert_eq!((last.alloc_bytes, last.freed_bytes, last.peak_bytes), (10_000, 10_000, 10_000), "{last}");
    let second = running.remove(0).end().unwrap();
    assert_eq!((second.alloc_bytes, second.freed_bytes), (11_100, 10_000), "{second}");
    stacks_add_up(&second);
    assert_eq!(Truth::of_measured(&other.end().unwrap()), Truth::default());
    drop(running);
    assert_eq!(exactly(|| black_box(Box::new(1_u64))).1.alloc_objects, 1);
}

#[test]
fn what_is_not_sampled_does_not_count() {
    let ((), measured) = measure(|| unsampled(|| drop(black_box(vec![0_u8; 100])))).unwrap();
    assert_eq!(Truth::of_measured(&measured), Truth::default());
    assert_eq!(unsampled(|| measure(|| ()).unwrap_err()), CannotMeasure::Unsampled);
    // The interval may change meanwhile. It counts from the end on.
    exactly(|| {
        alloc_profiler::set_sampling_interval(alloc_profiler::DEFAULT_SAMPLING_INTERVAL);
        (0..100).map(|n| black_box(Box::new(n))).collect::<Vec<Box<u64>>>().len()
    });
    // A measurement that begins outside may end inside.
    let measurement = Measurement::of_thread().unwrap();
    drop(black_box(vec![0_u8; 77]));
    assert_eq!(unsampled(|| measurement.end()).unwrap().alloc_bytes, 77);
    exactly(|| any_work(1, 100));
}

#[test]
fn a_panic_ends_a_measurement() {
    let caught = catch_unwind(|| {
        let _ = measure(|| {
            drop(black_box(vec![0_u8; 100]));
            std::panic::resume_unwind(Box::new(()));
        });
    });
    assert!(caught.is_err());
    assert_eq!(exactly(|| black_box(Box::new(1_u64))).1.alloc_objects, 1);
}

#[test]
fn numbers_of_measurements_begin_again() {
    // There are 65535 numbers in a slot.
    for _ in 0..70_000 {
        let ((), measured) = measure(|| drop(black_box(Box::new(1_u8)))).unwrap();
        assert_eq!((measured.alloc_objects, measured.freed_objects), (1, 1));
    }
}

#[inline(never)]
fn allocate_here() -> (Vec<u8>, u32) {
    (black_box(Vec::with_capacity(4321)), line!())
}

#[test]
fn lines_are_named() {
    let ((block, line), measured) = pprof_server::measure(allocate_here).unwrap();
    let lines = measured.lines();
    assert_eq!(lines.len(), 1, "{measured}");
    let of_block = &lines[0];
    assert_eq!((of_block.alloc_objects, of_block.alloc_bytes, of_block.inuse_bytes), (1, 4321, 4321));
    let frame = &of_block.frames[0];
    assert!(frame.function.ends_with("allocate_here"), "{measured}");
    assert!(frame.file.ends_with("measurements/main.rs"), "{measured}");
    assert_eq!(frame.line, line, "{measured}");
    assert!(!measured.to_string().contains("pprof_server::"), "{measured}");
    drop(block);
    let caught = catch_unwind(|| measured.assert_alloc_objects(..=0)).unwrap_err();
    let said = *caught.downcast::<String>().unwrap();
    assert!(said.starts_with("alloc_objects is 1, and was to be at most 0\n"), "{said}");
    assert!(
        said.contains("allocate_here") && said.contains(&format!("measurements/main.rs:{line}")),
        "{said}"
    );
    measured.assert_alloc_bytes(4321);
    measured.assert_peak_bytes(4000..5000);
    measured.assert_inuse_bytes(4321..);
    assert!(catch_unwind(|| measured.assert_inuse_bytes(0)).is_err());
}
