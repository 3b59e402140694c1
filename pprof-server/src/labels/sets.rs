//! All sets of labels that there ever were, each once, by number.
//!
//! A set is never forgotten, because a sample may refer to it as long as the process runs. So everything is bounded, and what has
//! no room stands under `[other]`. Sets are read without a lock. A new one is made under a lock, which a child of `fork`
//! has one of its own of, with all the sets of its parent.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::per_process::PerProcess;

/// A key and a value, which are kept for ever.
type Pair = (&'static str, &'static str);

/// Sets of which values are told.
const MAX_SETS: usize = 4096;
/// Sets that are made when there is no more room, in which all values are `[other]`; and room for what threads add meanwhile.
const MAX_OTHER_SETS: usize = 256;
const MAX_KEYS: usize = 64;
const MAX_VALUES: usize = 256;
const MAX_PAIRS: usize = 16;
/// The bytes of a key that are kept.
const LONGEST_KEY: usize = 64;

/// Stands for the values that have no room.
const OTHER: &str = "[other]";
const UNNAMED: &str = "[unnamed]";

/// Keys that profiles have themselves, with what the program's own are called instead.
const TAKEN_KEYS: [(&str, &str); 14] = [
    ("age", "user_age"),
    ("allocator", "user_allocator"),
    ("approximate", "user_approximate"),
    ("bytes", "user_bytes"),
    ("deadlock", "user_deadlock"),
    ("id", "user_id"),
    ("idle", "user_idle"),
    ("kind", "user_kind"),
    ("source", "user_source"),
    ("state", "user_state"),
    ("thread", "user_thread"),
    ("unread", "user_unread"),
    ("waits", "user_waits"),
    ("", UNNAMED),
];

/// Holds each set at its number less one, since number 0 is the empty set.
static SETS: [OnceLock<&'static [Pair]>; MAX_SETS + MAX_OTHER_SETS] =
    [const { OnceLock::new() }; MAX_SETS + MAX_OTHER_SETS];
static INDEX: PerProcess<RwLock<Index>> = PerProcess::new();

/// What has been lost, each of which is told.
static SETS_ARE_FULL: AtomicBool = AtomicBool::new(false);

/// Finds the numbers of sets.
#[derive(Debug, Default)]
struct Index {
    numbers: HashMap<&'static [Pair], u32>,
    values: HashMap<&'static str, Values>,
}

#[derive(Debug, Default)]
struct Values {
    known: HashSet<&'static str>,
    are_full: bool,
}

/// Returns the labels of a set, by ascending key.
pub(super) fn pairs(number: u32) -> &'static [Pair] {
    let set = (number as usize).checked_sub(1).and_then(|index| SETS.get(index)?.get());
    set.copied().unwrap_or(&[])
}

/// Returns the number of the set `number` with one more label.
pub(super) fn with(number: u32, key: &str, value: &str) -> u32 {
    let key =
        &key[..(0..=key.len().min(LONGEST_KEY)).rev().find(|&at| key.is_char_boundary(at)).unwrap_or(0)];
    let key = TAKEN_KEYS.iter().find(|(taken, _)| *taken == key).map_or(key, |(_, instead)| instead);
    let index = INDEX.get(|| RwLock::new(Index::of_sets()));
    let found = index.read().unwrap_or_else(PoisonError::into_inner).find(number, key, value);
    found.unwrap_or_else(|| index.write().unwrap_or_else(PoisonError::into_inner).add(number, key, value))
}

/// Says what stands under `[other]`, a sentence each.
pub(super) fn losses() -> Vec<String> {
    let index = INDEX.get(|| RwLock::new(Index::of_sets())).read().unwrap_or_else(PoisonError::into_inner);
    let mut full: Vec<&str> =
        index.values.iter().filter(|(_, values)| values.are_full).map(|(key, _)| *key).collect();
    full.sort_unstable();
    let mut losses: Vec<String> = full
        .into_iter()
        .map(|key| {
            format!(
                "labels: {key} has had more than {MAX_VALUES} values, and the later ones stand under {OTHER}: give it values that \
                 are fewer, such as the kind of a request and not its number"
            )
        })
        .collect();
    if SETS_ARE_FULL.load(Relaxed) {
        losses.push(format!(
            "labels: there were more than {MAX_SETS} different sets, {MAX_KEYS} keys or {MAX_PAIRS} labels at once, and what is beyond \
             stands under {OTHER}: label by fewer things at once"
        ));
    }
    losses
}

impl Index {
    /// Finds again what there is: in a child of `fork`, that is what its parent had.
    fn of_sets() -> Index {
        let mut index = Index::default();
        for (set, number) in SETS.iter().map_while(OnceLock::get).zip(1..) {
            index.numbers.insert(set, number);
            for (key, value) in *set {
                index.values.entry(key).or_default().known.insert(value);
            }
        }
        index
    }

    /// Returns the number of a set that there is.
    fn find(&self, number: u32, key: &str, value: &str) -> Option<u32> {
        let (&key, values) = self.values.get_key_value(key)?;
        let value = values.known.get(value).copied().or(values.are_full.then_some(OTHER))?;
        self.numbers.get(&joined(number, (key, value))[..]).copied()
    }

    fn add(&mut self, number: u32, key: &str, value: &str) -> u32 {
        let pair = self.pair(key, value);
        let mut set = joined(number, pair);
        if set.len() > MAX_PAIRS {
            SETS_ARE_FULL.store(true, Relaxed);
            return number;
        }
        // mutant: E41 any number of sets
        if !self.numbers.contains_key(&set[..]) && self.numbers.len() >= MAX_SETS {
            SETS_ARE_FULL.store(true, Relaxed);
            set.iter_mut().for_each(|(_, value)| *value = OTHER);
        }
        self.number(set).unwrap_or(number)
    }

    /// Returns the label as it is kept.
    fn pair(&mut self, key: &str, value: &str) -> Pair {
        if !self.values.contains_key(key) && self.values.len() >= MAX_KEYS {
            SETS_ARE_FULL.store(true, Relaxed);
            return (OTHER, OTHER);
        }
        let key = match self.values.get_key_value(key) {
            Some((key, _)) => key,
            None => kept(key),
        };
        let values = self.values.entry(key).or_default();
        let value = match values.known.get(value) {
            Some(value) => value,
            // mutant: E41 any number of values
            None if values.known.len() >= MAX_VALUES => {
                values.are_full = true;
                OTHER
            }
            None => {
                let value = kept(value);
                values.known.insert(value);
                value
            }
        };
        (key, value)
    }

    /// Returns the number of a set, which is added if there is none. `None`: there is no room.
    fn number(&mut self, set: Vec<Pair>) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&set[..]) {
            return Some(number);
        }
        let place = SETS.get(self.numbers.len())?;
        let set: &'static [Pair] = Vec::leak(set);
        place.set(set).ok()?;
        let number = self.numbers.len() as u32 + 1;
        self.numbers.insert(set, number);
        Some(number)
    }
}

/// Returns the labels of the set `number` with one more, by ascending key. A label of that key is replaced.
fn joined(number: u32, (key, value): Pair) -> Vec<Pair> {
    let mut set: Vec<Pair> = pairs(number).iter().filter(|(other, _)| *other != key).copied().collect();
    let place = set.partition_point(|(other, _)| *other < key);
    set.insert(place, (key, value));
    set
}

fn kept(text: &str) -> &'static str {
    Box::leak(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_one_number_whatever_their_order() {
        let one = with(with(0, "b", "2"), "a", "1");
        assert_eq!(with(with(0, "a", "1"), "b", "2"), one);
        assert_eq!(pairs(one), [("a", "1"), ("b", "2")]);
        assert_eq!(pairs(with(one, "a", "3")), [("a", "3"), ("b", "2")]);
        assert_eq!((pairs(0), pairs(u32::MAX)), (&[][..], &[][..]));
        assert_eq!(pairs(with(with(0, "thread", "x"), "", "y")), [(UNNAMED, "y"), ("user_thread", "x")]);
    }

    /// A child of `fork` has its parent's sets, and makes the same ones anew.
    #[test]
    fn an_index_is_made_again_of_the_sets() {
        let number = with(with(0, "again", "1"), "and", "2");
        let mut again = Index::of_sets();
        assert_eq!(again.numbers.get(pairs(number)), Some(&number));
        assert_eq!(again.find(with(0, "again", "1"), "and", "2"), Some(number));
        assert_eq!(again.pair("again", "1"), ("again", "1"));
    }
}
