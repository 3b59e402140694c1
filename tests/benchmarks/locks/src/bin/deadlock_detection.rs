//! `parking_lot` watches its own locks here, by its feature `deadlock_detection`.

use std::fmt::Write;

struct Detection;

impl locks::Tool for Detection {
    fn deadlocks(&mut self) -> String {
        let mut said = String::new();
        for (number, threads) in parking_lot::deadlock::check_deadlock().iter().enumerate() {
            writeln!(said, "deadlock {number} of {} threads", threads.len()).expect("memory");
            for thread in threads {
                writeln!(said, "thread {:?}\n{:?}", thread.thread_id(), thread.backtrace()).expect("memory");
            }
        }
        if said.is_empty() { "nothing".into() } else { said }
    }
}

fn main() {
    locks::main(|_| Detection);
}
