//! Each program of this package has another crate measure the same work. It prints what that says of each piece, and how long an
//! allocation with its free takes, while it is measured and while it is not: `name<TAB>blocks<TAB>bytes<TAB>peak bytes`.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

/// What a crate says of a piece of work; `None` where it does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub blocks: Option<u64>,
    pub bytes: Option<u64>,
    pub peak_bytes: Option<u64>,
}

/// These are the pieces of work, each with its name.
pub const WORK: [(&str, fn(&mut State)); 4] = [
    ("a block of 100 bytes", |_| drop(black_box(vec![1_u8; 100]))),
    ("a vector grows to 1000 numbers", |_| drop(black_box((0..1000).fold(Vec::new(), pushed)))),
    ("a block of before is freed", |state| drop(black_box(state.before.take()))),
    ("another thread allocates", |state| {
        state.turn.wait();
        drop(black_box(vec![1_u8; 100]));
        state.turn.wait();
    }),
];

/// What a piece of work finds there.
pub struct State {
    before: Option<Vec<u8>>,
    /// The other thread waits here until the work has begun, and the work until the other thread is done.
    turn: Arc<Barrier>,
}

fn pushed(mut numbers: Vec<u64>, number: u64) -> Vec<u64> {
    numbers.push(black_box(number));
    numbers
}

/// Has `measure` measure each piece of work, prints what it says, and what it costs.
pub fn main(measure: impl Fn(&mut dyn FnMut()) -> Told) {
    // What is done once in a thread's life is not part of it.
    measure(&mut || ());
    let turn = Arc::new(Barrier::new(2));
    let of_other = turn.clone();
    let other = thread::spawn(move || {
        of_other.wait();
        (0..1000).for_each(|_| drop(black_box(vec![1_u8; 1000])));
        of_other.wait();
    });
    let mut state = State { before: Some(vec![1; 5000]), turn };
    for (name, work) in WORK {
        let told = measure(&mut || work(&mut state));
        let number = |number: Option<u64>| number.map_or("-".into(), |number: u64| number.to_string());
        println!("{name}\t{}\t{}\t{}", number(told.blocks), number(told.bytes), number(told.peak_bytes));
    }
    other.join().expect("no panic");
    const TIMES: u64 = 1_000_000;
    let mut nanos = 0.0;
    measure(&mut || nanos = nanos_of_each(TIMES));
    println!("ns of an allocation and its free, measured\t{nanos:.1}");
    println!("ns of an allocation and its free, not measured\t{:.1}", nanos_of_each(TIMES));
    let start = Instant::now();
    (0..10_000).for_each(|_| {
        measure(&mut || ());
    });
    println!("ns of a measurement of nothing\t{:.0}", start.elapsed().as_nanos() as f64 / 10_000.0);
}

/// Returns how long an allocation of 64 bytes and its free take.
fn nanos_of_each(times: u64) -> f64 {
    let start = Instant::now();
    (0..times).for_each(|_| drop(black_box(Box::new([0_u64; 8]))));
    start.elapsed().as_nanos() as f64 / times as f64
}
