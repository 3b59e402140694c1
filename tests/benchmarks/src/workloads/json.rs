//! `serde_json` parses text into a tree of values, which is dropped.

use std::hint::black_box;

use super::{Outcome, threads};
use crate::clock::{Length, nanos_per_operation};
use crate::request::Request;

/// Parses 2 000 records with nested arrays and maps into a tree, and drops it.
pub(super) fn parse(request: &Request) -> Outcome {
    threads::in_each(request, parse_for)
}

fn parse_for(length: Length) -> f64 {
    let records: Vec<String> = (0..2000)
        .map(|n| {
            format!(
                r#"{{"id":{n},"name":"user {n}","tags":["a{n}","b","c"],"point":{{"x":{n}.5,"y":-{n}}}}}"#
            )
        })
        .collect();
    let document = format!("[{}]", records.join(","));
    nanos_per_operation(length, 1, |operations| {
        for _ in 0..operations {
            let value: serde_json::Value = serde_json::from_str(&document).expect("valid JSON");
            black_box(value);
        }
    })
}
