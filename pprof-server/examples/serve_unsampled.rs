//! What it looks like when the allocator was forgotten: a line on standard error, and a hint on the index page.

fn main() -> Result<(), pprof_server::Error> {
    let server = pprof_server::serve("127.0.0.1:0")?;
    println!("http://{}/debug/pprof/", server.local_addr());
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
    Ok(())
}
