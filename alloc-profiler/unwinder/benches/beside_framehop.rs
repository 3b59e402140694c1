//! framehop's time beside ours, on the same stacks: `cargo bench -p unwinder --bench beside_framehop`.
//!
//! It prints two tables: the median time of a walk, by how deep the stack is and by how much memory the program has written
//! to since the last walk; and the instructions of a walk, counted by callgrind, which repeat exactly. A sampling interval
//! of some bytes lies between two walks of a profiler, in which a program writes about as many.
//!
//! The frames of a stack are the same from walk to walk, except for the innermost three, which are one of eight.
//!
//! It needs Linux on x86-64 with glibc.

#[cfg(by_tables)]
#[path = "../tests/stacks/by_framehop.rs"]
mod by_framehop;

#[cfg(not(by_tables))]
fn main() {
    println!("beside_framehop: skipped, not Linux on x86-64 with glibc");
}

#[cfg(by_tables)]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [count, way, depth, walks] if count == "--count" => {
            let way = WAYS.into_iter().find(|(name, _)| name == way).map(|(_, way)| way);
            let [depth, walks] = [depth, walks].map(|number| number.parse().expect("a number"));
            let mut bench = Bench::new(way, 0, walks);
            below(depth, &mut bench);
        }
        _ => {
            table("median ns of a walk", &BETWEEN_BYTES, |way, depth, between_bytes| {
                let walks = if between_bytes > 1 << 18 { 500 } else { 4000 };
                let mut bench = Bench::new(Some(way), between_bytes, walks);
                below(depth, &mut bench);
                format!("{:.0}", bench.median_nanos())
            });
            table("instructions of a walk", &[0], |way, depth, _| {
                instructions(way, depth).map_or("-".into(), |instructions| format!("{instructions:.0}"))
            });
        }
    }
}

#[cfg(by_tables)]
use linux::*;

#[cfg(by_tables)]
mod linux {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    use std::env;
    use std::hint::black_box;
    use std::mem::MaybeUninit;
    use std::num::NonZeroUsize;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::by_framehop::{Framehop, Registers};
    use unwinder::{Cookie, MAX_STACK_DEPTH, Remember};

    /// How a stack is taken.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) enum Way {
        Framehop,
        Ours(Remember),
        Platform,
    }

    pub(super) const WAYS: [(&str, Way); 5] = [
        ("framehop 0.16", Way::Framehop),
        ("ours, nothing remembered", Way::Ours(Remember::Nothing)),
        ("ours, the last walk remembered", Way::Ours(Remember::LastWalk)),
        ("ours, whole walks remembered", Way::Ours(Remember::WholeWalks)),
        ("the platform's, by backtrace", Way::Platform),
    ];
    const DEPTHS: [usize; 3] = [10, 40, 100];
    /// So many bytes lie between two samples at the sampling intervals 1, 16 KiB and 512 KiB.
    pub(super) const BETWEEN_BYTES: [usize; 3] = [0, 16 << 10, 512 << 10];
    /// What the program writes to, one part after the other.
    const PROGRAM_BYTES: usize = 64 << 20;
    /// Frames within the recursion: the three that vary, and the one that takes the stack.
    const INNER_FRAMES: usize = 4;

    /// Takes stacks in one way, or does everything but that.
    pub(super) struct Bench {
        way: Option<Way>,
        framehop: Framehop,
        between_bytes: usize,
        program: Vec<u8>,
        next_byte: usize,
        walks: usize,
        ticks: Vec<u64>,
        cookies: usize,
        depth: usize,
    }

    impl Bench {
        pub(super) fn new(way: Option<Way>, between_bytes: usize, walks: usize) -> Bench {
            unwinder::prepare();
            unwinder::prepare_thread();
            let program = vec![0; if between_bytes == 0 { 0 } else { PROGRAM_BYTES }];
            let ticks = Vec::with_capacity(walks);
            let framehop = Framehop::new();
            Bench { way, framehop, between_bytes, program, next_byte: 0, walks, ticks, cookies: 0, depth: 0 }
        }

        /// Writes to as many bytes as a program allocates between two samples.
        #[inline(never)]
        fn be_the_program(&mut self) {
            let end = self.next_byte + self.between_bytes;
            for byte in self.program[self.next_byte..end].iter_mut().step_by(64) {
                *byte = byte.wrapping_add(1);
            }
            self.next_byte = if end + self.between_bytes > self.program.len() { 0 } else { end };
        }

        /// Takes the stack once, and notes how long that takes.
        #[inline(never)]
        fn take(&mut self) {
            let start = ticks();
            let depth = match self.way {
                None => 0,
                Some(Way::Framehop) => self.take_by_framehop(),
                Some(Way::Ours(remember)) => self.take_by_ours(remember),
                Some(Way::Platform) => {
                    let mut room = unwinder::room();
                    black_box(unwinder::capture_by_platform(&mut room).frames()).len()
                }
            };
            self.ticks.push(ticks() - start);
            self.depth = self.depth.max(depth);
        }

        #[inline(never)]
        fn take_by_framehop(&mut self) -> usize {
            let mut room = [MaybeUninit::<usize>::uninit(); MAX_STACK_DEPTH];
            let mut depth = 0;
            self.framehop.visit_callers(Registers::here(), |address| {
                room[depth].write(address);
                depth += 1;
                depth < MAX_STACK_DEPTH
            });
            black_box(&room);
            depth
        }

        #[inline(never)]
        fn take_by_ours(&mut self, remember: Remember) -> usize {
            let mut room = unwinder::room();
            let walk = unwinder::capture(&mut room, remember);
            match walk.met() {
                Some(Cookie(number)) => black_box(number.get()) & 0xFF,
                None => {
                    let depth = black_box(walk.frames()).len();
                    // As an interner would number stacks; the depth is beneath.
                    self.cookies += 1;
                    let cookie = NonZeroUsize::new(self.cookies << 8 | depth);
                    walk.remember(Cookie(cookie.expect("a depth is not 0")));
                    depth
                }
            }
        }

        /// The median time of a walk.
        pub(super) fn median_nanos(&mut self) -> f64 {
            let mut nothing: Vec<u64> = (0..1000).map(|_| [ticks(), ticks()]).map(|[a, b]| b - a).collect();
            nothing.sort_unstable();
            self.ticks.sort_unstable();
            let median = self.ticks[self.ticks.len() / 2].saturating_sub(nothing[nothing.len() / 2]);
            median as f64 * nanos_per_tick()
        }
    }

    /// The processor's clock, when all before it has been done.
    #[inline(always)]
    fn ticks() -> u64 {
        // SAFETY: both instructions are part of every x86-64 processor, and touch no memory.
        unsafe {
            _mm_lfence();
            let ticks = _rdtsc();
            _mm_lfence();
            ticks
        }
    }

    fn nanos_per_tick() -> f64 {
        let (start, start_ticks) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(20));
        start.elapsed().as_nanos() as f64 / (ticks() - start_ticks) as f64
    }

    /// Takes the stacks with about `depth` frames of this benchmark's.
    #[inline(never)]
    pub(super) fn below(depth: usize, bench: &mut Bench) {
        if depth > INNER_FRAMES {
            below(black_box(depth - 1), bench);
            black_box(depth);
            return;
        }
        let mut state = 1_u32;
        for _ in 0..bench.walks {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bench.be_the_program();
            turn(state >> 16, 3, bench);
        }
    }

    /// Calls itself by one of two ways as often as `turns` says, each time as a bit of `ways` says.
    #[inline(always)]
    fn turn(ways: u32, turns: u32, bench: &mut Bench) {
        match (turns, ways & 1) {
            (0, _) => bench.take(),
            (_, 0) => left(ways >> 1, turns - 1, bench),
            _ => right(ways >> 1, turns - 1, bench),
        }
    }

    #[inline(never)]
    fn left(ways: u32, turns: u32, bench: &mut Bench) {
        turn(ways, turns, bench);
        black_box(ways);
    }

    #[inline(never)]
    fn right(ways: u32, turns: u32, bench: &mut Bench) {
        turn(ways, turns, bench);
        black_box((ways, turns));
    }

    /// Instructions of one walk, without those of this benchmark. `None`: there is no valgrind.
    pub(super) fn instructions(way: Way, depth: usize) -> Option<f64> {
        let name = WAYS.iter().find(|(_, other)| *other == way)?.0;
        Some(instructions_with(name, depth)? - instructions_with("none", depth)?)
    }

    /// Instructions for each walk of a run: the difference of two runs that differ in the number of walks alone.
    fn instructions_with(name: &str, depth: usize) -> Option<f64> {
        const WALKS: [usize; 2] = [2_000, 12_000];
        let mut counts = WALKS.map(|walks| {
            let run = Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(env::current_exe().ok()?)
                .args(["--count", name, &depth.to_string(), &walks.to_string()])
                .output()
                .ok()?;
            let text = String::from_utf8_lossy(&run.stderr).into_owned();
            text.split("Collected :").nth(1)?.split_whitespace().next()?.parse::<f64>().ok()
        });
        let [few, many] = counts.each_mut().map(Option::take);
        Some((many? - few?) / (WALKS[1] - WALKS[0]) as f64)
    }

    /// Prints a table with a row for each way, and a column for each depth and each number of bytes in between.
    pub(super) fn table(title: &str, between: &[usize], cell: impl Fn(Way, usize, usize) -> String) {
        let columns: Vec<(usize, usize)> =
            DEPTHS.iter().flat_map(|&depth| between.iter().map(move |&bytes| (depth, bytes))).collect();
        let head = |&(depth, bytes): &(usize, usize)| match bytes {
            0 => format!("{depth} frames"),
            bytes => format!("{depth}, {} KiB between", bytes >> 10),
        };
        println!("| {title} | {} |", columns.iter().map(head).collect::<Vec<_>>().join(" | "));
        println!("| --- |{}", " ---: |".repeat(columns.len()));
        for (name, way) in WAYS {
            let cells: Vec<String> = columns.iter().map(|&(depth, bytes)| cell(way, depth, bytes)).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
        println!();
    }
}
