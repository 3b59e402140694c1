//! A program whose threads wait for one another, and in which tasks wait for what nobody sends. `scripts/check-fleet.sh` has it scraped for the
//! profiles of which the demo has nothing. It goes on for ever.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// So many threads want the same lock.
const THREADS: usize = 3;
const HELD: Duration = Duration::from_millis(3);
/// So many tasks wait for nobody.
const TASKS: usize = 20;

#[inline(never)]
fn take_turns(lock: &Mutex<u64>) -> ! {
    loop {
        let mut turns = lock.lock().unwrap();
        *turns += 1;
        // Others wait meanwhile.
        thread::sleep(HELD);
    }
}

/// Waits for what only this task itself could send.
async fn wait_for_nobody() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
    receiver.recv().await;
    black_box(sender);
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let _pprof = pprof_server::install!(locks = true);
    for _ in 0..TASKS {
        tokio::spawn(wait_for_nobody());
    }
    let lock = Arc::new(Mutex::new(0));
    for _ in 0..THREADS {
        let lock = Arc::clone(&lock);
        thread::spawn(move || take_turns(&lock));
    }
    std::future::pending::<()>().await;
}
