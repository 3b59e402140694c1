//! `/metrics` and `gc=1`: whether memory leaks or is merely kept can be told, and what is kept be given back.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use std::collections::HashMap;
use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};
use workspace_tests::client::{Reply, get, receive, request, send};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn figures(address: SocketAddr, query: &str) -> HashMap<String, u64> {
    let reply = get(address, &format!("/metrics{query}"));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let values = reply.text().lines().filter(|line| !line.starts_with('#'));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    values.map(|line| figure(line).expect(line)).collect()
}

#[test]
fn retention_is_told_from_a_leak_and_given_back_on_request() {
    const MIB: u64 = 1 << 20;
    pprof_server::alloc_profiler::set_sampling_interval(64 * 1024);
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let before = figures(address, "?malloc=1");

    // Small blocks, so that they lie in the heap; a live one on top, so that freeing gives nothing back.
    let mut blocks: Vec<Vec<u8>> = (0..100 * 1024).map(|_| vec![1; 1000]).collect();
    let full = figures(address, "?malloc=1");
    let grown = |name: &str| full[name].saturating_sub(before[name]);
    for name in ["glibc_malloc_inuse_bytes", "glibc_malloc_held_bytes", "process_resident_memory_bytes"] {
        assert!((90 * MIB..130 * MIB).contains(&grown(name)), "{name} {}", grown(name));
    }
    // This is an estimate from 1 600 samples, so it lies within six standard errors.
    assert!((83 * MIB..115 * MIB).contains(&grown("alloc_profiler_inuse_bytes")), "{full:?}");
    assert!(grown("alloc_profiler_allocated_bytes_total") > 83 * MIB, "{full:?}");
    assert!(grown("alloc_profiler_samples_total") > 1000, "{full:?}");

    let top = blocks.pop();
    drop(blocks);
    let freed = figures(address, "?malloc=1");
    assert!(freed["alloc_profiler_inuse_bytes"] < 5 * MIB, "{freed:?}");
    assert!(freed["glibc_malloc_free_bytes"] > 80 * MIB, "{freed:?}");
    assert!(freed["process_resident_memory_bytes"] > 80 * MIB, "{freed:?}");

    // Only `heap` gives it back, and not for a difference.
    for query in ["allocs?gc=1", "heap?gc=0", "heap?gc=x", "heap?gc=1&seconds=1", "heap?gc=-1&debug=1"] {
        assert_eq!(get(address, &format!("/debug/pprof/{query}")).status, 200, "{query}");
        let resident = figures(address, "")["process_resident_memory_bytes"];
        assert!(resident > 80 * MIB, "{query} {resident}");
    }
    assert_eq!(get(address, "/debug/pprof/heap?gc=1&debug=1").status, 200);
    let given_back = figures(address, "")["process_resident_memory_bytes"];
    assert!(given_back + 60 * MIB < freed["process_resident_memory_bytes"], "{given_back} {freed:?}");
    black_box(top);
}

#[test]
fn figures_are_where_prometheus_and_pprof_look() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let plain = figures(address, "");
    assert_eq!(plain["alloc_profiler_installed"], 1);
    // Asking the allocator holds up other threads: only on request.
    assert!(!plain.contains_key("glibc_malloc_held_bytes"), "{plain:?}");
    assert_eq!(get(address, "/debug/pprof/metrics").status, 200);
    let head = request(address, "HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let refused = get(address, "/metrics?malloc=0");
    assert_eq!((refused.status, refused.header("x-go-pprof")), (400, Some("1")));
    let posted = request(address, "POST", "/metrics", "");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics for who sends this `Accept`.
fn scraped(address: SocketAddr, accept: &str) -> Reply {
    let head = "GET /metrics?malloc=1 HTTP/1.1\r\nConnection: close";
    let request = format!("{head}\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n");
    receive(send(address, request.as_bytes())).expect("an answer")
}

#[test]
fn a_scraper_gets_the_format_that_it_accepts() {
    let server = serve("127.0.0.1:0").unwrap();
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, content_type) in [
        (prometheus, OPEN_METRICS),
        ("*/*", OPEN_METRICS),
        ("text/plain", CLASSIC),
        ("application/json", CLASSIC),
    ] {
        let reply = scraped(server.local_addr(), accept);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{accept}");
        assert_eq!(reply.header("vary"), Some("accept"));
        let is_open = content_type == OPEN_METRICS;
        assert_eq!(reply.text().ends_with("\n# EOF\n"), is_open, "{accept}");
        let samples = if is_open { "samples" } else { "samples_total" };
        let described = format!("\n# TYPE alloc_profiler_{samples} counter\nalloc_profiler_samples_total ");
        assert!(reply.text().contains(&described), "{}", reply.text());
    }
}

/// What `promtool` says of `text`: its status, and all that it writes. `None` if there is no such program.
fn promtool(arguments: &[&str], text: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("no promtool: both formats stay unchecked (Debian's package prometheus has it)");
        return None;
    };
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn prometheus_itself_finds_nothing_wrong_with_either_format() {
    let server = serve("127.0.0.1:0").unwrap();
    let classic = scraped(server.local_addr(), "text/plain");
    let Some(found) = promtool(&["check", "metrics"], classic.text()) else { return };
    assert_eq!(found, (true, String::new()), "{}", classic.text());
    // It tells a fault when there is one.
    let faulty =
        classic.text().replace("# HELP alloc_profiler_samples_total", "# HELP alloc_profiler_sample");
    assert!(!promtool(&["check", "metrics"], &faulty).unwrap().0);

    // Its other parser is only where blocks of storage are made, of samples with their times.
    let open = scraped(server.local_addr(), OPEN_METRICS);
    let dated =
        |line: &str| if line.starts_with('#') { format!("{line}\n") } else { format!("{line} 1700000000\n") };
    let dated: String = open.text().lines().map(dated).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    let file = file.to_str().unwrap();
    let blocks = folder.path().join("blocks");
    let import = ["tsdb", "create-blocks-from", "openmetrics", file, blocks.to_str().unwrap()];
    fs::write(file, &dated).unwrap();
    let (is_right, said) = promtool(&import, "").unwrap();
    assert!(is_right, "{said}");
    fs::write(file, dated.replace("# EOF\n", "")).unwrap();
    assert!(!promtool(&import, "").unwrap().0, "an end that is missing is a fault");
}

#[test]
fn another_malloc_is_not_taken_for_glibc_s() {
    const TEST: &str = "another_malloc_is_not_taken_for_glibc_s";
    if env::var_os("OTHER_MALLOC_CHILD").is_some() {
        // C code that asks glibc's own by its other name, so that it has something.
        unsafe extern "C" {
            fn __libc_malloc(size: usize) -> *mut std::ffi::c_void;
        }
        // SAFETY: glibc exports it, with the contract of `malloc`, whatever `malloc` is here.
        black_box(unsafe { __libc_malloc(100) });
        let kept = black_box(vec![1_u8; 32 << 20]);
        let server = serve("127.0.0.1:0").unwrap();
        let told = figures(server.local_addr(), "?malloc=1");
        assert!(told["alloc_profiler_inuse_bytes"] > 16 << 20, "{told:?}");
        let of_glibc: Vec<_> = told.keys().filter(|name| name.starts_with("glibc_malloc_")).collect();
        println!("of glibc: {}", of_glibc.len());
        return drop(kept);
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/other_malloc.c");
    let library = folder.path().join("libother.so");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-fno-builtin", "-shared", "-fPIC", "-o"]).args([&library, &source]);
    assert!(compile.status().expect("there is a C compiler").success());
    for (preload, expected) in [(None, "of glibc: 3"), (Some(&library), "of glibc: 0")] {
        let mut child = workspace_tests::this_program();
        child.args(["--exact", TEST, "--nocapture"]).env("OTHER_MALLOC_CHILD", "1");
        let output = child.envs(preload.map(|library| ("LD_PRELOAD", library))).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{preload:?}: {output:?}");
    }
}
