//! This process, as the search needs to know it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::hint::black_box;

use holders::{Block, Failure, Found, Pace, PageMap, Region, RegionKind, Scene, Thread};
use tasks::OwnMemory;

/// AddressSanitizer's notes on all addresses are in mappings of gigabytes to terabytes. To ask which of their pages are there takes minutes.
const LARGEST_BYTES: u64 = if cfg!(address_sanitizer) { 1 << 32 } else { u64::MAX };

/// Lists the private memory that may be written to.
pub(crate) fn regions() -> Vec<Region> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut was_file = false;
    let region = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, limit) = fields[0].split_once('-')?;
        let [start, limit] = [start, limit].map(|text| u64::from_str_radix(text, 16).unwrap());
        let path = fields.get(5).copied().unwrap_or("");
        let kind = match path {
            "[stack]" => RegionKind::MainStack,
            _ if path.contains("/libc") || path.contains("/ld-") => RegionKind::Allocator,
            _ if path.starts_with('/') || path.is_empty() && was_file => RegionKind::Statics,
            _ => RegionKind::Other,
        };
        was_file = path.starts_with('/');
        (fields[1].starts_with("rw-p") && limit - start < LARGEST_BYTES).then_some(Region {
            start,
            limit,
            kind,
        })
    };
    maps.lines().filter_map(region).collect()
}

/// Returns this thread after the main one, with its stack pointer, below which only dead words are.
pub(crate) fn threads() -> Vec<Thread> {
    let here = 0_u64;
    let this = fs::read_link("/proc/thread-self").unwrap();
    let this = this.file_name().unwrap().to_str().unwrap().parse().unwrap();
    vec![
        Thread { id: std::process::id(), stack_pointer: None },
        Thread { id: this, stack_pointer: Some(black_box(&raw const here) as u64 - 4096) },
    ]
}

/// Searches all memory of this process for what holds the blocks.
pub(crate) fn search(blocks: Vec<Block>, pace: Pace) -> Result<Found, Failure> {
    let (memory, pages) = (OwnMemory::open().unwrap(), PageMap::open().unwrap());
    let scene = Scene {
        regions: &regions(),
        threads: &threads(),
        thread_local_bytes: 0x400,
        left_out: &[],
        own_variables: &[],
        pace,
    };
    holders::search(&memory, &pages, scene, blocks)
}

pub(crate) fn block<T>(value: &T, site: u32) -> Block {
    let address = std::ptr::from_ref(value) as u64;
    Block { address, bytes: size_of::<T>() as u64, site, target: Some(site) }
}

/// The list of targets lies in memory of its own, whose words are no pointers to them: addresses are masked until they are used.
pub(crate) fn unmasked(masked: &[Block]) -> Vec<Block> {
    masked.iter().map(|block| Block { address: !block.address, ..*block }).collect()
}

pub(crate) fn masked(block: Block) -> Block {
    Block { address: !block.address, ..block }
}
