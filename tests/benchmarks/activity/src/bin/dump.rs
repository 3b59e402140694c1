//! tokio's own dump finds the tasks.

use std::time::Duration;

use activity::tasks::{Finder, Seen, frames_in};
use tokio::runtime::Handle;

struct Dump;

impl Finder for Dump {
    async fn find(&mut self) -> Vec<Seen> {
        let handle = Handle::current();
        let Ok(dump) = tokio::time::timeout(Duration::from_secs(20), handle.dump()).await else {
            println!("hangs");
            std::process::exit(3);
        };
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
