//! Tasks of every shape that wait, each at a line that its source marks. scripts/check-tasks.sh asks the program's own server
//! where they wait, and compares.
//!
//! The markers are comments. At the end of a line, one marks that line; on a line of its own, the next:
//!
//! - `waits: NAME` marks the `.await` that the task of the shape NAME waits at, innermost in this package's code.
//! - `via: NAME 1 3` marks an `.await` on the way to there: the first and the third from the task's root.
//! - `root: NAME` marks the line where a future begins that was never polled.
//! - `ended: NAME` and `runs: NAME` mark tasks that wait nowhere.
//! - `branch: NAME` marks an `.await` within one of several futures that the task waits for at once.
//!
//! The program prints a line `shape NAME 0xADDRESS` for each task, then `ready`, and ends when its standard input does. The
//! address of a task's memory comes from the allocator: it is the one block with the alignment of a task.

mod cells;
mod planted;
mod settled;
mod shapes;

use planted::Planted;

fn main() {
    let served = pprof_server::install!("127.0.0.1:0", allocator = cells::CellRecorder);
    let runtime = tasks_corpus::runtime();
    let mut planted = Planted::default();
    runtime.block_on(shapes::plant(&mut planted));
    settled::wait();
    planted.cells().for_each(|(shape, cell)| println!("shape {shape} {cell:#x}"));
    let address = served.expect("a free port can be had");
    println!("ready http://{address}/debug/pprof/");
    let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    drop(ended);
    // Some tasks never let go of their thread.
    std::process::exit(0);
}
