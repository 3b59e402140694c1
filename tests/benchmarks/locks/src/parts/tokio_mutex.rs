//! Tasks want one `Mutex` of tokio, and have it across an `.await`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::sleep;

use crate::parts::{AT_ONCE, Load, PAUSE, Waited};

#[cfg(not(feature = "timers"))]
async fn waits(lock: &Mutex<u64>) -> MutexGuard<'_, u64> {
    lock.lock().await // waits
}

#[cfg(feature = "timers")]
async fn waits(lock: &Mutex<u64>) -> MutexGuard<'_, u64> {
    tracing::Instrument::instrument(lock.lock(), tracing::info_span!("wait", lock = "tokio Mutex")).await // waits
}

async fn gives_back(guard: MutexGuard<'_, u64>, held: Duration) {
    sleep(held).await;
    drop(guard); // gives back
}

async fn takes_turns(lock: Arc<Mutex<u64>>, load: Load, mut begins: watch::Receiver<bool>) -> Duration {
    begins.wait_for(|begins| *begins).await.expect("it is sent");
    let mut waited = Duration::ZERO;
    for _ in 0..load.turns {
        let start = Instant::now();
        let guard = waits(&lock).await;
        waited += start.elapsed();
        gives_back(guard, load.held).await;
        sleep(PAUSE).await;
    }
    waited
}

pub fn run(load: Load, ready: &mut dyn FnMut()) -> Waited {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // tokio-console tells this line.
        let lock = Arc::new(Mutex::new(0));
        let (begin, begins) = watch::channel(false);
        let tasks: Vec<_> =
            (0..AT_ONCE).map(|_| tokio::spawn(takes_turns(lock.clone(), load, begins.clone()))).collect();
        // Tasks are there before anybody looks, as in a program that has run for a while.
        tokio::task::block_in_place(ready);
        begin.send(true).expect("they wait for it");
        let mut waited = Duration::ZERO;
        for task in tasks {
            waited += task.await.expect("no panic");
        }
        Waited { waited, turns: load.turns * AT_ONCE as u64 }
    })
}
