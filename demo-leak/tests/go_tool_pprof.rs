//! Go's own tool finds the demo's leak whichever way it gets the profile, and does not see the fixed reader at all.
//!
//! The demo runs once with the leak and once without; what was fetched from it then is looked at by each test.
#![cfg(unix)]

mod service;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, thread};

use service::Service;
use workspace_tests::{check_valid, client, go_tool_pprof, go_tool_pprof_at, pprof, scraper_rules};

/// The function that leaks, as profiles name it.
const LEAKING: &str = "demo_leak::reader::Reader::start";

/// What a run left behind.
struct Run {
    /// Profiles that were taken before the load, over some seconds of it, and after it.
    before: Vec<u8>,
    during: Vec<u8>,
    after: Vec<u8>,
    /// The text of a profile that was taken after the load.
    text: Vec<u8>,
    /// What Go showed when it was pointed at the running demo after the load: at its profile, and at the text.
    top_of_url: String,
    top_of_text_url: String,
}

fn leaking_run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| run(&[]))
}

fn run(arguments: &[&str]) -> Run {
    let load = ["--connections-per-second", "300", "--idle-seconds", "1", "--load-seconds", "5"];
    let service = Service::start(&[&load, arguments].concat());
    let idle = service.figures("idle");
    let before = fetch(service.pprof, "heap");

    service.figures("load");
    let during = fetch(service.pprof, "heap?seconds=2");

    let settled = service.settled_figures("idle again");
    assert!(settled.total >= 100, "the load was {} connections", settled.total);
    assert_eq!(settled.tasks - idle.tasks, if arguments.is_empty() { settled.total } else { 0 });
    let after = fetch(service.pprof, "heap");
    let text = fetch(service.pprof, "heap?debug=1");

    // The judges are built only now, because that takes longer than the load lasts.
    for profile in [&before, &during, &after] {
        check_valid(profile);
        scraper_rules(profile);
    }
    check_valid(&text);

    let url = format!("http://{}/debug/pprof/heap", service.pprof);
    Run {
        before,
        during,
        after,
        text,
        top_of_url: go_tool_pprof_at(&["-top"], &url),
        // `remote`: names by POST to /debug/pprof/symbol. By itself Go reads the program's file instead, and has
        // only bare names then.
        top_of_text_url: go_tool_pprof_at(&["-top", "-symbolize=remote"], &(url + "?debug=1")),
    }
}

fn fetch(server: SocketAddr, name: &str) -> Vec<u8> {
    let reply = client::get(server, &format!("/debug/pprof/{name}"));
    assert_eq!(reply.status, 200, "{name}: {}", reply.text_lossy());
    reply.body
}

/// Returns the rows that `-top` printed, without their five columns of numbers. What is left is the name, and with
/// `-lines` the file and line.
fn rows(top: &str) -> Vec<String> {
    let table = top.lines().skip_while(|line| !line.trim_start().starts_with("flat "));
    table.skip(1).map(|row| row.split_whitespace().skip(5).collect::<Vec<_>>().join(" ")).collect()
}

fn first_row(top: &str) -> String {
    rows(top).into_iter().next().unwrap_or_else(|| panic!("no rows in {top}"))
}

fn reader_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reader.rs")
}

/// Returns the number of the line that leaks, counted from 1.
fn leaking_line() -> usize {
    let source = fs::read_to_string(reader_source()).unwrap();
    source.lines().position(|line| line.contains("let window = vec![")).expect("the leak is there") + 1
}

/// A row of `-lines` that is the leak's.
fn leaking_row() -> String {
    format!("{LEAKING} {}:{}", reader_source().display(), leaking_line())
}

/// What the compiler makes around every task has no lines in any program.
#[test]
fn a_program_with_debug_information_is_not_said_to_lack_any() {
    let top = go_tool_pprof(&["-top"], &leaking_run().after);
    assert!(top.contains("in use: ") && !top.contains("debug information"), "{top}");
}

#[test]
fn the_profile_shows_the_leak_first_at_its_line() {
    let after = &leaking_run().after;
    assert_eq!(first_row(&go_tool_pprof(&["-top"], after)), LEAKING);
    assert_eq!(first_row(&go_tool_pprof(&["-top", "-lines"], after)), leaking_row());

    assert_list_shows_the_leak(after);
}

/// `-list` of the function has the leak at its line.
fn assert_list_shows_the_leak(profile: &[u8]) {
    // A row is `   92MB   92MB   60:   let window = …`: it has flat, cumulative, line and source.
    let list = go_tool_pprof(&["-list", &format!("^{LEAKING}$")], profile);
    assert!(list.contains(&reader_source().display().to_string()), "{list}");
    let number = format!("{}:", leaking_line());
    let line = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = line.into_iter().find(|words| words.get(2) == Some(&&*number)).expect("the line is listed");
    assert!(line[0].ends_with("MB") && line[3..].join(" ").starts_with("let window = vec!["), "{line:?}");
}

#[test]
fn the_difference_of_before_and_after_shows_it_first() {
    let Run { before, after, .. } = leaking_run();
    let before = ProfileFile::new("before", before);
    let top = go_tool_pprof(&["-top", "-lines", "-diff_base", before.path()], after);
    assert_eq!(first_row(&top), leaking_row());
}

#[test]
fn some_seconds_of_the_load_show_it_first() {
    let top = go_tool_pprof(&["-top", "-lines"], &leaking_run().during);
    assert!(top.contains("Duration: 2"), "{top}");
    assert_eq!(first_row(&top), leaking_row());
}

#[test]
fn fetched_by_go_itself_it_is_first_too() {
    assert_eq!(first_row(&leaking_run().top_of_url), LEAKING);
}

#[test]
fn the_text_shows_it_first() {
    let run = leaking_run();
    assert_eq!(first_row(&run.top_of_text_url), LEAKING);
    // From a file, Go names addresses by the debug information of the program, and looks for a function's name in the function's own
    // entry. Where a package has its types as well, as the demo does, the name of a method stands in the entry of its type.
    let top = go_tool_pprof(&["-top"], &run.text);
    assert_eq!(first_row(&top), "[demo-leak]", "{top}");
    // The text names it by itself.
    let (bytes, leaf) = largest_row(str::from_utf8(&run.text).unwrap());
    // The sums of this text are those of the samples themselves, which Go's tool scales up.
    assert!(bytes > 1_000_000, "{bytes}");
    let line = format!("{}:{}", reader_source().display(), leaking_line());
    assert!(leaf.contains(&format!("\t{LEAKING}+0x")) && leaf.ends_with(&line), "{leaf}");
}

/// Returns the bytes in use of the row of `debug=1` that has the most, and the line of its leaf.
fn largest_row(text: &str) -> (u64, &str) {
    // A row's labels stand between it and its leaf.
    let lines = || text.lines().filter(|line| !line.starts_with("# labels: "));
    let pairs = lines().zip(lines().skip(1));
    let rows = pairs.filter_map(|(row, leaf)| {
        // A row is `84: 3894720 [129: 4143848] @ 0x558adca30815 …`.
        let bytes = row.split_once(" @ 0x")?.0.split_whitespace().nth(1)?;
        Some((bytes.parse().ok()?, leaf))
    });
    rows.max_by_key(|row| row.0).expect("there are rows")
}

/// The demo's first tenant has three connections for each of the second one's.
#[test]
#[cfg(target_os = "linux")]
fn it_tells_which_tenant_s_connections_hold_the_memory() {
    let after = &leaking_run().after;
    let bytes = |tenant: &str| -> f64 {
        let top = go_tool_pprof(&["-top", "-unit=B", &format!("-tagfocus=tenant=^{tenant}$")], after);
        let said = top.split_once("accounting for ").and_then(|(_, rest)| rest.split_once("B,"));
        said.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{top}"))
    };
    let [first, second] = ["127.0.0.1", "127.0.0.2"].map(bytes);
    let share = second / (first + second);
    // The leak's blocks are much smaller than the sampling interval, so each sample stands for about that many bytes.
    let samples = (first + second) / alloc_profiler::DEFAULT_SAMPLING_INTERVAL as f64;
    let error = (0.25 * 0.75 / samples).sqrt();
    assert!((share - 0.25).abs() < 4.0 * error, "{share} ± {error} of {first} and {second} bytes");
    // All that is in use, by tenant.
    let tags = go_tool_pprof(&["-tags"], after);
    let of_tenants = tags.split_once("tenant: Total ").map(|(_, rest)| rest.lines().skip(1).take(2));
    let tenants: Vec<&str> =
        of_tenants.into_iter().flatten().filter_map(|row| row.split(": ").nth(1)).collect();
    assert_eq!(tenants, ["127.0.0.1", "127.0.0.2"], "{tags}");
}

#[test]
fn the_flame_graph_page_has_it() {
    let page = WebPages::of(&leaking_run().after).page("/ui/flamegraph");
    assert_eq!(page.status, 200, "{}", page.text_lossy());
    assert!(page.text_lossy().contains(LEAKING), "{}", page.text_lossy());
}

#[test]
fn the_fixed_reader_is_not_in_the_difference() {
    let Run { before, after, .. } = run(&["--fixed"]);
    // It was seen: a profile without the load would prove nothing.
    let allocated = go_tool_pprof(&["-top", "-nodefraction=0", "-sample_index=alloc_space"], &after);
    assert!(rows(&allocated).contains(&LEAKING.to_owned()), "{allocated}");

    let before = ProfileFile::new("before-fixed", &before);
    let top = go_tool_pprof(&["-top", "-nodefraction=0", "-diff_base", before.path()], &after);
    assert!(!top.contains("demo_leak::reader::"), "{top}");
}

/// A profile that is on disk until it is dropped.
struct ProfileFile(PathBuf);

impl ProfileFile {
    fn new(name: &str, profile: &[u8]) -> ProfileFile {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::write(&path, profile).unwrap();
        ProfileFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ProfileFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A `go tool pprof -http` that runs until it is dropped.
struct WebPages {
    child: Child,
    address: SocketAddr,
    _profile: ProfileFile,
}

impl WebPages {
    fn of(profile: &[u8]) -> WebPages {
        let profile = ProfileFile::new("shown", profile);
        let mut child = Command::new(pprof())
            // Without a number behind the colon, it picks a free port.
            .args(["-no_browser", "-http=127.0.0.1:"])
            .arg(profile.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is there");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let told =
            lines.into_iter().find_map(|line| Some(line.split_once("web UI on http://")?.1.to_owned()));
        let address = told.expect("pprof tells where it serves").trim().parse().unwrap();
        WebPages { child, address, _profile: profile }
    }

    fn page(&self, path: &str) -> client::Reply {
        // It tells where before it listens.
        for _ in 0..100 {
            if std::net::TcpStream::connect(self.address).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        // HTTP/1.0, so that the page comes in one piece, not in chunks.
        let stream = client::send(self.address, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        client::receive(stream).expect("an answer")
    }
}

impl Drop for WebPages {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
