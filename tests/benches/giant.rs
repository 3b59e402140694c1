//! Makes debug information by the megabyte, with generic code for every pair of ten types.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::hint::black_box;

macro_rules! types {
    ($($name:ident)*) => {
        $(#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct $name(Vec<u8>, u32);)*

        fn all_pairs() -> usize {
            0 $(+ all_with::<$name>())*
        }

        fn all_with<A: Data>() -> usize {
            0 $(+ pair::<A, $name>())*
        }
    };
}
types!(A B C D E F G H I J);

trait Data: Clone + Debug + Default + Ord + Hash {}
impl<T: Clone + Debug + Default + Ord + Hash> Data for T {}

/// Containers and iterators that are compiled anew for each pair.
fn pair<X: Data, Y: Data>() -> usize {
    let mut tree: BTreeMap<X, Y> = BTreeMap::new();
    let mut table: HashMap<Y, Vec<X>> = HashMap::new();
    let mut queue: VecDeque<(X, Y)> = VecDeque::new();
    for _ in 0..black_box(2) {
        tree.insert(X::default(), Y::default());
        table.entry(Y::default()).or_default().push(X::default());
        queue.push_back((X::default(), Y::default()));
    }
    tree.retain(|_, value| *value <= Y::default());
    table.retain(|key, _| *key <= Y::default());
    let mut sorted: Vec<(X, Y)> =
        queue.iter().cloned().chain(tree.clone()).filter(|(x, _)| *x >= X::default()).collect();
    sorted.sort();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    black_box(format!("{tree:?} {table:?} {queue:?} {sorted:?}"));
    tree.remove(&X::default());
    1
}

/// Runs all of it and returns how many instances there are.
pub(crate) fn run() -> usize {
    all_pairs()
}
