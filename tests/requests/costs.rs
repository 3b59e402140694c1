//! What each request costs where it is the only one: bytes, processor time, and memory at the peak and afterwards.

use std::fs;

use super::generator::Request;
use super::{MAX_ANSWER_BYTES, Program, ask};

/// Each request is sent so often. The first time is told apart, since names are looked up then.
const TIMES: usize = 5;
/// The `USER_HZ` that every Linux has.
const TICKS_PER_SECOND: f64 = 100.0;

/// The costliest request of each endpoint, and others that cost much in a way of their own.
fn requests(code: [u64; 2]) -> Vec<Request> {
    let get = |endpoint, query: &str| Request {
        endpoint,
        method: "GET",
        target: format!("/debug/pprof/{endpoint}{query}"),
        body: String::new(),
    };
    let post = |endpoint, query: &str, body: String| Request { method: "POST", body, ..get(endpoint, query) };
    let addresses = |step: u64| {
        let start = code[0].saturating_sub(step * 35_000) + 1;
        (0..69_900).map(|index| format!("{:#x}+", start + index * step)).collect()
    };
    vec![
        get("heap", ""),
        get("allocs", ""),
        get("delta_heap", "?client=a"),
        get("heap", "?limit=none&frames=all&labels=age"),
        get("heap", "?debug=1"),
        get("heap", "?format=json&top=1000"),
        get("heap", "?format=text&top=1000"),
        get("heap", "?format=folded"),
        get("heap", "?symbolize=none"),
        get("heap", "?ago=1s"),
        get("heap", "?gc=1"),
        get("leaks", ""),
        post("symbol", "", addresses(0)),
        post("symbol", "", addresses(16)),
        get("history", ""),
        get("", ""),
        get("metrics", "?malloc=1"),
        post("mark", "?name=a&replace=1", String::new()),
        get("cmdline", ""),
    ]
}

/// Processor time of the whole program since its start, in seconds.
fn processor_seconds(program: &Program) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.child.id())).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("the program's name");
    let ticks = |index| fields.split_whitespace().nth(index).and_then(|ticks| ticks.parse::<f64>().ok());
    (ticks(11).expect("utime") + ticks(12).expect("stime")) / TICKS_PER_SECOND
}

/// Sends each request some times, one at a time, and prints a line for each.
pub(crate) fn print(program: &Program) {
    let resident = || program.mebibytes("VmRSS:");
    println!("one request at a time; {} MiB are resident before the first", resident());
    println!("bytes in  bytes out  status  first CPU s  later CPU s  longest s  peak MiB  kept MiB  request");
    for request in requests(program.code.long) {
        let (mut bytes_out, mut status_seen, mut longest, mut peak) = (0, 0, 0.0_f64, 0);
        let mut processor = Vec::new();
        let before_all = resident();
        for _ in 0..TIMES {
            // The peak is counted anew from here.
            fs::write(format!("/proc/{}/clear_refs", program.child.id()), "5").expect("it is our child");
            let (before, processor_before) = (resident(), processor_seconds(program));
            let (status, bytes, time) = ask(program.address, &request).expect("an answer");
            processor.push(processor_seconds(program) - processor_before);
            assert!(matches!(status, 200 | 201) && bytes <= MAX_ANSWER_BYTES, "{status}: {}", request.target);
            (status_seen, bytes_out) = (status, bytes_out.max(bytes));
            longest = longest.max(time.as_secs_f64());
            peak = peak.max(program.mebibytes("VmHWM:").saturating_sub(before));
        }
        let later = processor[1..].iter().fold(0.0_f64, |most, &seconds| most.max(seconds));
        let kept = resident() as i64 - before_all as i64;
        println!(
            "{:8} {bytes_out:10} {status_seen:7} {:12.2} {later:12.2} {longest:10.2} {peak:9} {kept:9}  {} {}",
            request.body.len() + request.target.len(),
            processor[0],
            request.method,
            request.target,
        );
    }
}
