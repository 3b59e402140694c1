//! One line installs the allocator and the server. Prints where it serves, then waits for the end of standard input.
//!
//! Try `cargo run --example install`, then `go tool pprof http://127.0.0.1:6060/debug/pprof/heap`.

fn main() {
    let served_at = pprof_server::install!();
    println!("{served_at:?}");
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
}
