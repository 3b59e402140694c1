//! What a target is: a function of bytes, for libFuzzer, or for a bounded run.
//!
//! A bounded run gives the function each file of `seeds/<target>`, and then mutations of them at random from a fixed
//! seed: the same ones each time, as many as there is time for, so that what fails was most likely broken by the change at
//! hand. Called by every target; see `scripts/check-fuzz.sh --bounded`.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, panic, process};

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys::fuzz_target;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Makes a program of `$test`, a function of bytes that panics if something does not hold.
#[macro_export]
macro_rules! target {
    ($name:literal, $test:path) => {
        #[cfg(feature = "libfuzzer")]
        $crate::fuzz_target!(|bytes: &[u8]| $test(bytes));
        #[cfg(not(feature = "libfuzzer"))]
        fn main() {
            $crate::run($name, $test);
        }
    };
}

/// Mutations tried, unless that takes longer than the time.
const MUTATIONS: u32 = 10_000;
const TIME: Duration = Duration::from_secs(3);
const MAX_BYTES: usize = 8192;

/// Runs `test` over the seeds of the target and mutations of them. Ends the process if it panics, and says on what: the
/// bytes are in `artifacts/<target>`.
pub fn run(target: &str, test: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(folder.join("seeds").join(target))
        .expect("each target has a folder of seeds")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    // In an order that does not depend on the file system.
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a seed is a file")).collect();
    assert!(!seeds.is_empty(), "seeds/{target} is empty");
    let attempt = |bytes: &[u8]| {
        if panic::catch_unwind(|| test(bytes)).is_err() {
            let artifacts = folder.join("artifacts").join(target);
            let file = artifacts.join("bounded");
            fs::create_dir_all(&artifacts).and_then(|()| fs::write(&file, bytes)).expect("a folder of ours");
            eprintln!("{target} fails on the {} bytes in {}", bytes.len(), file.display());
            process::exit(1);
        }
    };
    let start = Instant::now();
    seeds.iter().for_each(|seed| attempt(seed));
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut mutations = 0;
    while mutations < MUTATIONS && start.elapsed() < TIME {
        attempt(&mutated(&seeds, &mut dice));
        mutations += 1;
    }
    println!("{target}: {} seeds and {mutations} mutations in {:.1?}", seeds.len(), start.elapsed());
}

/// One of the seeds with some bytes changed, cut, repeated, or taken from another one.
fn mutated(seeds: &[Vec<u8>], dice: &mut impl Rng) -> Vec<u8> {
    let mut bytes = seeds[dice.random_range(0..seeds.len())].clone();
    for _ in 0..dice.random_range(1..=4) {
        let at = dice.random_range(0..=bytes.len());
        let end = (at + dice.random_range(0..=8)).min(bytes.len());
        match dice.random_range(0..6) {
            0 => bytes[at..end].iter_mut().for_each(|byte| *byte = dice.random()),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << dice.random_range(0..8)),
            2 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][dice.random_range(0..5)]),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
            _ => {
                let other = &seeds[dice.random_range(0..seeds.len())];
                let from = dice.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}
