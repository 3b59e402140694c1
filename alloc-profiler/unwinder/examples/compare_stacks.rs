//! The stacks of `unwinders_agree` in a program that can be built in any way. Prints how many there were.

#[path = "../tests/stacks/mod.rs"]
mod stacks;

fn main() {
    println!("{}", stacks::compare_all());
}
