//! The parts of the program, each with another lock. The threads and tasks themselves sum up how long they wait: that is the truth.

pub mod c_mutex;
pub mod parking_lot_mutex;
pub mod std_mutex;
pub mod std_rwlock;
pub mod tokio_mutex;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// So many threads or tasks want a lock.
pub const AT_ONCE: usize = 8;
/// A thread or task does so long something else between two turns.
pub const PAUSE: Duration = Duration::from_millis(1);

/// How often each thread takes the lock, and how long it has it then.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub turns: u64,
    pub held: Duration,
}

/// How long all have waited, and how often the lock was taken.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    pub waited: Duration,
    pub turns: u64,
}

pub struct Part {
    pub name: &'static str,
    /// The module that has it, by which tools' stacks are told apart.
    pub module: &'static str,
    source: &'static str,
    /// Calls the function when all is made, and before the lock is taken for the first time.
    pub run: fn(Load, &mut dyn FnMut()) -> Waited,
}

pub const PARTS: [Part; 5] = [
    Part {
        name: "std Mutex",
        module: "std_mutex",
        source: include_str!("parts/std_mutex.rs"),
        run: std_mutex::run,
    },
    Part {
        name: "parking_lot Mutex",
        module: "parking_lot_mutex",
        source: include_str!("parts/parking_lot_mutex.rs"),
        run: parking_lot_mutex::run,
    },
    Part {
        name: "std RwLock",
        module: "std_rwlock",
        source: include_str!("parts/std_rwlock.rs"),
        run: std_rwlock::run,
    },
    Part {
        name: "tokio Mutex",
        module: "tokio_mutex",
        source: include_str!("parts/tokio_mutex.rs"),
        run: tokio_mutex::run,
    },
    Part { name: "C mutex", module: "c_mutex", source: include_str!("parts/c_mutex.rs"), run: c_mutex::run },
];

impl Part {
    /// Returns the lines, as `file.rs:7`, that end with this comment.
    pub fn lines(&self, comment: &str) -> Vec<String> {
        let end = format!("// {comment}");
        let lines = self.source.lines().zip(1..).filter(|(line, _)| line.ends_with(&end));
        lines.map(|(_, number)| format!("{}.rs:{number}", self.module)).collect()
    }
}

/// Has threads take turns at a lock: `waits` gets it, and `gives_back` has it for a while. `waits` is given the thread's number.
pub fn contend<G>(load: Load, waits: impl Fn(usize) -> G + Sync, gives_back: impl Fn(G) + Sync) -> Waited {
    let nanos = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let (nanos, waits, gives_back) = (&nanos, &waits, &gives_back);
            scope.spawn(move || {
                for _ in 0..load.turns {
                    let start = Instant::now();
                    let guard = waits(number);
                    nanos.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
                    gives_back(guard);
                    thread::sleep(PAUSE);
                }
            });
        }
    });
    Waited { waited: Duration::from_nanos(nanos.into_inner()), turns: load.turns * AT_ONCE as u64 }
}
