//! A3, A6, B2: threads end, and allocate and free on their way out.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

use alloc_profiler::{set_sampling_interval, snapshot, unsampled};

use crate::harness::{assert_consistent, isolated, pick};

/// No other block here has this size, whose class is 20480.
const BYTES: usize = 20_000;

fn in_use() -> f64 {
    let snapshot = snapshot();
    assert_consistent(&snapshot);
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
    sizes.filter(|size| size.size_class == 20_480).map(|size| size.totals.inuse_objects).sum()
}

fn block() -> Vec<u8> {
    black_box(vec![1; BYTES])
}

/// Frees the block that it holds, which may be another thread's. It also uses another thread-local, which may be gone.
struct Untidy(Option<Vec<u8>>);

impl Drop for Untidy {
    fn drop(&mut self) {
        let _ = OTHER.try_with(|other| other.borrow_mut().push(block()));
        drop(self.0.take());
        drop(block());
        // If it was not initialised before, it is now: its own destructor runs later.
        let _ = LATE.try_with(|late| late.borrow_mut().push(block()));
    }
}

thread_local! {
    static FIRST: RefCell<Untidy> = const { RefCell::new(Untidy(None)) };
    static OTHER: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static LATE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn threads_may_end_untidily() {
    isolated(1, || {
        set_sampling_interval(1);
        let (to_next, from_previous) = mpsc::sync_channel::<Vec<u8>>(16);
        let mut held = 0;
        for n in 0..pick(300, 10_000) {
            let (to_next, given) = (to_next.clone(), from_previous.try_recv().ok());
            let thread = move || {
                let first = || FIRST.with(|first| first.borrow_mut().0 = given);
                let other = || OTHER.with(|other| other.borrow_mut().push(block()));
                // Destructors run in the reverse order of first use.
                if n % 2 == 0 {
                    (first(), other())
                } else {
                    (other(), first())
                };
                // The block is for the next thread, to be freed when this one is over. Those that are too many are
                // freed here.
                let _ = to_next.try_send(block());
            };
            thread::spawn(thread).join().expect("no panic");
            if n == 100 {
                held = snapshot().own_memory.mapped_bytes;
            }
        }
        drop((to_next, from_previous));
        assert_eq!(in_use(), 0.0);
        let now = snapshot().own_memory.mapped_bytes;
        assert!(
            now <= held + (1 << 20),
            "{held} bytes after 100 threads, {now} now: threads leave something"
        );
    });
}

#[test]
fn what_a_pause_frees_is_noticed() {
    isolated(1, || {
        set_sampling_interval(1);
        let blocks: Vec<_> = (0..10_000).map(|_| block()).collect();
        assert_eq!(in_use(), 10_000.0);
        unsampled(|| drop(blocks));
        assert_eq!(in_use(), 0.0);

        let moved = block();
        // The block is moved by `realloc` while nothing is sampled: it is gone, and nothing is new.
        let moved = unsampled(move || {
            let mut moved = moved;
            moved.reserve_exact(1 << 20);
            black_box(moved)
        });
        assert_eq!(in_use(), 0.0);
        drop(moved);
    });
}
