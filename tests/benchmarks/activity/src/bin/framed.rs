//! `async-backtrace` finds the tasks, whose functions have its attribute.

use activity::tasks::{Finder, Seen, frames_in};

struct Framed;

impl Finder for Framed {
    async fn find(&mut self) -> Vec<Seen> {
        let tree = async_backtrace::taskdump_tree(false);
        // A task's outermost function is not indented.
        let mut tasks: Vec<String> = Vec::new();
        for line in tree.lines() {
            match tasks.last_mut().filter(|_| line.starts_with(' ')) {
                Some(task) => *task += &format!("\n{line}"),
                None => tasks.push(line.to_owned()),
            }
        }
        tasks.iter().map(|task| Seen { count: 1.0, frames: frames_in(task) }).collect()
    }
}

fn main() {
    activity::tasks::main(Framed);
}
