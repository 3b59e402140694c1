//! The report that docs/leaks.md begins with: a program with one leak, whose load began half a minute ago.

use std::sync::Arc;
use std::time::Duration;

use alloc_profiler::StackTrace;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::super::{NamedStacks, Report, Wanted, report};
use super::moments;
use super::simulation::{Block, INTERVAL, Pace, Run, sampled};
use crate::cgroup::CgroupMemory;
use crate::process::Memory;
use crate::profile::Stacks;
use crate::symbols::role::role;
use crate::symbols::{Function, SourceLine};

/// How long the program has run, and when its load began.
const SECONDS: u32 = 60;
const BEGIN: f64 = 30.0;
const BLOCK_BYTES: f64 = 65_536.0;
const BLOCKS_A_SECOND: f64 = 64.0;
const MIB: u64 = 1 << 20;
/// The calls of its stack are from this address on, a byte each.
const CALLS: usize = 0x1000;
/// Names the calls of its stack, the leaf first.
const LINES: [(&str, &str, u32); 2] = [
    ("demo_leak::reader::Reader::start", "demo-leak/src/reader.rs", 60),
    ("demo_leak::proxy::serve::{{closure}}", "demo-leak/src/proxy.rs", 74),
];

/// What the server reports of the program.
fn documented() -> Report {
    let mut generator = SmallRng::seed_from_u64(15);
    let rate = |second: f64| if second < BEGIN { 0.0 } else { BLOCKS_A_SECOND };
    let born = moments(&mut generator, SECONDS, BLOCKS_A_SECOND, rate);
    let blocks = born.into_iter().map(|born| Block { born, dies: f64::INFINITY, bytes: BLOCK_BYTES });
    let samples = sampled(blocks.collect(), &mut generator, |_| INTERVAL);
    let mut run = Run::new(&samples, Pace { unit: Duration::from_secs(1), step: 5 }, &|_| INTERVAL);
    let mut now = run.now(SECONDS);
    now.stacks[0].trace = StackTrace::of_return_addresses((1..=LINES.len()).map(|line| CALLS + line));
    let names = Stacks::fixed(now.stacks.iter().map(|stack| &stack.trace), |address| {
        let (name, file, line) = LINES[address as usize - CALLS];
        let (name_text, role) = (name.into(), role(name, file));
        let function = Function { name: name_text, linkage_name: "".into(), file: file.into(), role };
        [SourceLine { function: Arc::new(function), line }].into()
    });
    let group = CgroupMemory { limit_bytes: Some(2048 * MIB), usage_bytes: Some(180 * MIB) };
    let memory = Memory { resident_bytes: Some(160 * MIB), group };
    let wanted = Wanted { window: None, rows: 10 };
    let report = report(&NamedStacks::fixed(names), run.history(), &now, memory, wanted);
    // Notes are about the program that runs, which here is the test.
    Report { notes: Vec::new(), ..report }
}

#[test]
fn the_documented_report_is_what_is_written() {
    let text = documented().to_string();
    let [heading, row, meaning] = text.splitn(3, "\n\n").collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(meaning.starts_with("growing: It grows"), "{meaning}");
    let page = include_str!("../../../../../docs/leaks.md");
    let block = format!("```text\n{heading}\n\n{row}\n```\n");
    assert!(page.contains(&block), "docs/leaks.md lacks\n{block}");
}
