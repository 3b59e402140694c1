//! What it costs to find where tasks wait, each figure beside its budget.
//!
//! ```sh
//! cargo bench -p tasks --bench cost
//! ```
//!
//! The large file is this program's own debug information, repeated until it has 100 MiB of `.debug_info`. Times are those that the
//! processor spent, so that other programs on the machine matter little.

#[path = "../tests/program/mod.rs"]
mod program;

use object::{Object, ObjectSection};
use program::Program;
use std::fs;
use std::io;
use tasks::{Block, Image, ReadAt, TypeIndex};
use tokio::sync::mpsc;

const MIB: u64 = 1 << 20;
const LARGE_BYTES: u64 = 100 * MIB;

async fn leaf(receiver: &mut mpsc::Receiver<u64>) -> Option<u64> {
    receiver.recv().await
}

async fn reader(mut receiver: mpsc::Receiver<u64>) -> u64 {
    leaf(&mut receiver).await.unwrap_or(1)
}

/// A file whose `.debug_info` stands at its end, again and again.
struct Repeated {
    file: Vec<u8>,
    info: std::ops::Range<usize>,
    bytes: u64,
}

impl Repeated {
    fn of_this_program() -> Repeated {
        let mut file = fs::read("/proc/self/exe").unwrap();
        let object = object::File::parse(&file[..]).unwrap();
        let section = object.section_by_name(".debug_info").unwrap();
        let (start, length) = section.file_range().unwrap();
        let bytes = LARGE_BYTES / length * length;
        let headers = u64::from_ne_bytes(file[40..48].try_into().unwrap()) as usize;
        let header = headers + section.index().0 * 64;
        let end = file.len() as u64;
        file[header + 24..header + 32].copy_from_slice(&end.to_ne_bytes());
        file[header + 32..header + 40].copy_from_slice(&bytes.to_ne_bytes());
        Repeated { file, info: start as usize..(start + length) as usize, bytes }
    }
}

impl ReadAt for Repeated {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(behind) = offset.checked_sub(self.file.len() as u64) else {
            return self.file.read_at(bytes, offset);
        };
        let info = &self.file[self.info.clone()];
        let start = (behind % info.len() as u64) as usize;
        let left = usize::try_from(self.bytes.saturating_sub(behind)).unwrap();
        let count = bytes.len().min(info.len() - start).min(left);
        bytes[..count].copy_from_slice(&info[start..start + count]);
        Ok(count)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.len() as u64 + self.bytes)
    }
}

/// Returns for how many nanoseconds this thread has run.
fn cpu_ns() -> u64 {
    let figures = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    figures.split(' ').next().unwrap().parse().unwrap()
}

/// Returns a line of `/proc/self/status`, in bytes.
fn status_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|sign: char| !sign.is_ascii_digit()).parse::<u64>().unwrap() * 1024
}

fn verdict(what: &str, value: f64, unit: &str, budget: f64) {
    let word = if value <= budget { "ok" } else { "OVER" };
    println!("{what:<58} {value:>9.1} {unit:<4} budget {budget:>7.1} {unit:<4} {word}");
}

fn main() {
    let mut program = Program::new();
    let (_sender, receiver) = mpsc::channel(1);
    let handle = program.runtime.spawn(reader(receiver));
    program.read(&handle);
    let block = program.block(&handle);

    let file = Repeated::of_this_program();
    let mib = file.bytes as f64 / MIB as f64;
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, begun) = (status_bytes("VmRSS:"), cpu_ns());
    let image = Image { debug: Box::new(file), bias: program::bias(), package: None };
    let mut index = TypeIndex::of_images_within(vec![image], std::time::Duration::from_secs(600)).unwrap();
    let index_ns = cpu_ns() - begun;
    let peak = status_bytes("VmHWM:") - before;
    let kept = status_bytes("VmRSS:").saturating_sub(before);
    println!("{mib:.0} MiB of .debug_info, unfinished: {}", index.is_unfinished());
    verdict("index of 100 MiB of .debug_info", index_ns as f64 / 1e6 * 100.0 / mib, "ms", 1500.0);
    verdict("memory at the peak of that", peak as f64 / MIB as f64, "MiB", 32.0);
    verdict("memory that stays", kept as f64 / MIB as f64, "MiB", 32.0);

    let begun = cpu_ns();
    let task = index.read(&program.memory, block).unwrap();
    println!("first task of its type: {:.1} ms", (cpu_ns() - begun) as f64 / 1e6);
    assert_eq!(task.future.chain().len(), 4);
    const READS: u32 = 10_000;
    let begun = cpu_ns();
    for _ in 0..READS {
        let block = Block { bytes: None, ..block };
        std::hint::black_box(index.read(&program.memory, block)).unwrap();
    }
    verdict("a task line", (cpu_ns() - begun) as f64 / 1e3 / f64::from(READS), "µs", 50.0);
}
