//! tokio's own dump finds the tasks.

use activity::tasks::{Finder, Seen, frames_in};
use tokio::runtime::Handle;

struct Dump;

impl Finder for Dump {
    async fn find(&mut self) -> Vec<Seen> {
        let dump = Handle::current().dump().await;
        let seen = |task: &tokio::runtime::dump::Task| Seen {
            count: 1.0,
            frames: frames_in(&task.trace().to_string()),
        };
        dump.tasks().iter().map(seen).collect()
    }
}

fn main() {
    activity::tasks::main(Dump);
}
