//! As `install`, at an address of one's own: here any free port, which goes to standard error.

fn main() {
    pprof_server::install!("127.0.0.1:0");
    // A second call would be a second global allocator; the function behind it may be called again.
    println!("installed");
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
}
