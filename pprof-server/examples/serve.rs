//! The explicit form: declare the allocator, serve where and for as long as you like, and handle the error.

#[global_allocator]
static ALLOCATOR: pprof_server::alloc_profiler::SamplingAllocator =
    pprof_server::alloc_profiler::SamplingAllocator::new();

fn main() -> Result<(), pprof_server::Error> {
    let server = pprof_server::serve("127.0.0.1:0")?;
    println!("http://{}/debug/pprof/", server.local_addr());
    std::io::read_to_string(std::io::stdin()).expect("standard input can be read");
    server.shutdown();
    Ok(())
}
