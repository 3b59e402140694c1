//! `regex` and `BTreeMap` make an index of a text's words, as a log analyser or a search tool builds one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;

use regex::Regex;

use super::loops::Numbers;
use super::{Outcome, threads};
use crate::clock::{Length, nanos_per_operation};
use crate::request::Request;

/// Finds which words stand in which of 2 000 log lines, and the sum of the numbers in each line, and forgets all that.
pub(super) fn index(request: &Request) -> Outcome {
    threads::in_each(request, index_for)
}

fn index_for(length: Length) -> f64 {
    let text = log_lines();
    let line = Regex::new(r"(?m)^(\w+) \[(\w+)\] (.*) took (\d+) ms$").expect("a valid expression");
    let word = Regex::new(r"[a-z]{3,}").expect("a valid expression");
    nanos_per_operation(length, 1, |operations| {
        for _ in 0..operations {
            let mut lines_by_word: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            let mut millis_by_service: BTreeMap<String, u64> = BTreeMap::new();
            for (number, fields) in line.captures_iter(&text).enumerate() {
                *millis_by_service.entry(fields[2].to_owned()).or_default() +=
                    fields[4].parse::<u64>().expect("digits");
                for found in word.find_iter(&fields[3]) {
                    lines_by_word.entry(found.as_str().to_uppercase()).or_default().push(number);
                }
            }
            black_box((lines_by_word, millis_by_service));
        }
    })
}

fn log_lines() -> String {
    const WORDS: [&str; 12] = [
        "request", "from", "cache", "with", "timeout", "retry", "user", "stored", "queue", "index", "shard",
        "lease",
    ];
    let mut numbers = Numbers(3);
    let mut text = String::new();
    for _ in 0..2000 {
        write!(text, "INFO [service{}]", numbers.next() % 50).expect("a string takes everything");
        for _ in 0..8 {
            let word = WORDS[numbers.next() % WORDS.len()];
            let ending = ["", "s", "ing", "ed"][numbers.next() % 4];
            write!(text, " {word}{ending}").expect("a string takes everything");
        }
        writeln!(text, " took {} ms", numbers.next() % 1000).expect("a string takes everything");
    }
    text
}
