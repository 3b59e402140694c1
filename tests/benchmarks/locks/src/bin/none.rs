//! Nothing watches this program from within.

fn main() {
    locks::main(|_| locks::Nothing);
}
