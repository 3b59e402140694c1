//! This program says whether waits for locks are seen. `scripts/check-locks.sh` builds it in every way that a program is linked.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

capture::define_syscall!();

/// Whose machine code is counted: what a scope of labels costs.
#[inline(never)]
#[unsafe(no_mangle)]
fn under_a_label(label: u32, work: fn()) {
    let before = unwinder::label::replace(label);
    work();
    unwinder::label::restore(before);
}

fn main() {
    assert!(capture::sees_locks(), "the standard library's waits do not come by");
    capture::set_block_rate(Some(Duration::from_nanos(1))).expect("it is possible here");
    let lock = Mutex::new(());
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| under_a_label(7, std::thread::yield_now));
        let (tell, told) = mpsc::channel();
        let lock = &lock;
        scope.spawn(move || {
            tell.send(()).expect("the other thread listens");
            drop(lock.lock());
        });
        told.recv().expect("the other thread tells");
        // On a busy machine it needs some time to come to its wait.
        thread::sleep(Duration::from_millis(200));
        drop(held);
    });
    let samples = capture::lock_samples();
    let longest = |stacks: &[capture::LockStack]| {
        stacks
            .iter()
            .map(|stack| (stack.sums.nanoseconds as u64, stack.frames.len()))
            .max()
            .unwrap_or_default()
    };
    let [waited, woken] = [longest(&samples.block), longest(&samples.mutex)];
    assert!(waited.0 > 10_000_000 && woken.0 > 10_000_000, "{waited:?}, {woken:?}");
    println!("waits are seen, with {} frames; wakes with {}", waited.1, woken.1);
}
