//! The workloads over the system's allocator as it is.
mod workloads;

fn main() {
    workloads::main();
}
