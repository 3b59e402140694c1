//! Nothing is measured here.

fn main() {
    measuring::main(|work| {
        work();
        measuring::Told::default()
    });
}
