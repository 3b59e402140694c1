//! The tests of `other_builds` run this program. Some of its memory comes from glibc's own `malloc`, whatever the program's
//! `malloc` is. It tells where it serves, and waits for the end of its standard input.

use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn __libc_malloc(bytes: usize) -> *mut c_void;
}

fn main() {
    let address = pprof_server::install!("127.0.0.1:0").expect("it serves");
    // SAFETY: glibc exports this function, with the contract of `malloc`.
    black_box(unsafe { __libc_malloc(100) });
    black_box(vec![1_u8; 32 << 20]);
    println!("served at {address}");
    std::io::read_to_string(std::io::stdin()).unwrap();
}
