//! No tool watches.

fn main() {
    activity::cpu::main(activity::cpu::Nothing);
}
