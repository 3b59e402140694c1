//! The program that is asked: many stacks, names of many kilobytes, and little memory.

use std::arch::global_asm;
use std::hint::black_box;
use std::io::{Read, stdin};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::alloc_profiler::set_sampling_interval;
use pprof_server::serve;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Frames that all stacks have in common, so that each takes some room.
const COMMON_FRAMES: u32 = 30;

macro_rules! times_8 {
    ($text:expr) => {
        concat!($text, $text, $text, $text, $text, $text, $text, $text)
    };
}

/// A function whose mangled name is so long, which calls `hold`, and a short one that calls it.
macro_rules! long_name {
    ($short:literal, $long:expr) => {
        global_asm!(
            concat!(
                ".globl ", $long, "\n.type ", $long, ",@function\n", $long, ":\n.cfi_startproc\n",
                "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\nmov %rsp, %rbp\n.cfi_def_cfa_register %rbp\n",
                "call {hold}\n",
                "pop %rbp\n.cfi_def_cfa %rsp, 8\nret\n.cfi_endproc\n.size ", $long, ", .-", $long, "\n",
                ".globl ", $short, "\n.type ", $short, ",@function\n", $short, ":\n.cfi_startproc\n",
                "sub $8, %rsp\n.cfi_def_cfa_offset 16\ncall ", $long, "\n",
                "lea ", $long, "(%rip), %rax\nadd $8, %rsp\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n.size ", $short, ", .-", $short
            ),
            hold = sym hold,
            options(att_syntax)
        );
    };
}

long_name!("calls_8_kib", concat!("_RN8KiB", times_8!(times_8!(times_8!("_an_async_fn_")))));
long_name!("calls_71_kib", concat!("_RN71KiB", times_8!(times_8!(times_8!(times_8!("_of_an_async_fn_"))))));

unsafe extern "C" {
    /// Holds a block, by way of the function with the long name, and returns where that is.
    safe fn calls_8_kib() -> usize;
    safe fn calls_71_kib() -> usize;
}

#[inline(never)]
extern "C" fn hold() {
    std::mem::forget(black_box(vec![1_u8; 100]));
}

// The two differ, or the compiler makes them one.
#[inline(never)]
fn left(path: u32, bits: u32) -> Vec<u8> {
    black_box("left");
    black_box(step(path, bits))
}

#[inline(never)]
fn right(path: u32, bits: u32) -> Vec<u8> {
    black_box("right");
    black_box(step(path, bits))
}

#[inline(never)]
fn step(path: u32, bits: u32) -> Vec<u8> {
    let block = match bits.checked_sub(1) {
        None => common(COMMON_FRAMES, path),
        Some(bits) if path & 1 == 0 => left(path >> 1, bits),
        Some(bits) => right(path >> 1, bits),
    };
    black_box(block)
}

#[inline(never)]
fn common(frames: u32, path: u32) -> Vec<u8> {
    let block = if frames > 0 { common(frames - 1, path) } else { vec![1; 64 << (path % 5)] };
    black_box(block)
}

/// Serves profiles of 2^`bits` stacks within `address_space_bytes`, until the end of standard input. Prints the address that
/// it serves at, and those of the two functions with long names.
pub(crate) fn run(bits: u32, address_space_bytes: u64) {
    let limits = libc::rlimit { rlim_cur: address_space_bytes, rlim_max: address_space_bytes };
    // SAFETY: reads the limits.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limits) }, 0);
    set_sampling_interval(1);
    let held: Vec<_> = (0..1 << bits).map(|path| step(path, bits)).collect();
    let server = serve("127.0.0.1:0").expect("a free port");
    println!("SERVING {} {} {}", server.local_addr(), calls_8_kib(), calls_71_kib());
    let _ = stdin().read_to_end(&mut Vec::new());
    drop((server, held));
}
