//! The same loop runs in several threads at once; and blocks are freed by another thread than the one that allocated
//! them.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::Outcome;
use crate::clock::{Length, nanos_per_operation};
use crate::request::Request;

/// Runs `workload` in each of the requested threads from one start, and returns the mean of what they took.
///
/// Where there are no more threads than cores, an allocator that scales takes as long with many as with one.
pub(super) fn in_each(request: &Request, workload: fn(Length) -> f64) -> Outcome {
    if request.threads <= 1 {
        return workload(request.length).into();
    }
    let start = Barrier::new(request.threads);
    let total: f64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..request.threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    workload(request.length)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a workload does not panic")).sum()
    });
    (total / request.threads as f64).into()
}

/// Allocates blocks of 64 bytes in this thread and frees them in another, 1000 to a message.
pub(super) fn handed_over(request: &Request) -> Outcome {
    let (sender, receiver) = sync_channel::<Vec<Box<[u64; 8]>>>(4);
    let consumer = thread::spawn(move || receiver.into_iter().for_each(drop));
    let nanos = nanos_per_operation(request.length, 1000, |operations| {
        for _ in 0..operations.div_ceil(1000) {
            let blocks = (0..1000).map(|_| black_box(Box::new([1; 8]))).collect();
            sender.send(blocks).expect("the consumer ends after us");
        }
    });
    drop(sender);
    consumer.join().expect("dropping does not panic");
    nanos.into()
}
