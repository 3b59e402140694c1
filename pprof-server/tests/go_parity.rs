//! The same requests to us and to a Go program with `net/http/pprof`: same status, same headers, same errors.
//!
//! Needs `go`, 1.26 or later (before, it redirected with 301). Where we differ on purpose is all in `Differs`, in
//! `DIFFERENCES` and in `our_profiles_say_more`, each with its reason.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use workspace_tests::check_valid;
use workspace_tests::client::{Reply, receive, request, send};

/// The reference program, which is written in Go. It ends when its standard input does.
struct Go {
    child: Child,
    address: SocketAddr,
}

impl Go {
    fn start() -> Go {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/go/pprof-reference");
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pprof-reference");
        let built =
            Command::new("go").arg("build").arg("-o").arg(&binary).arg(".").current_dir(source).status();
        assert!(
            built.as_ref().is_ok_and(|status| status.success()),
            "go build: {built:?}. This test compares us with Go: install Go 1.26 or later, or run scripts/test.sh, \
             which says what is missing and how to leave it out"
        );
        let mut child = Command::new(binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Go { child, address: line.trim().parse().expect("the reference program prints its address") }
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The headers that are compared for every request.
const HEADERS: [&str; 6] =
    ["content-type", "content-disposition", "x-content-type-options", "x-go-pprof", "allow", "location"];

/// What may differ, and why.
#[derive(Clone, Copy, PartialEq)]
enum Differs {
    Nothing,
    /// Go's page names the location in HTML; ours repeats nothing of the request.
    RedirectBody,
    /// Go lists the methods of its router; we take POST for `symbol`, as `go tool pprof` needs it.
    Allow,
}
use Differs::{Allow, Nothing, RedirectBody};

#[rustfmt::skip]
const REQUESTS: &[(&str, &str, Differs)] = &[
    ("GET", "/debug/pprof/", Nothing),
    ("GET", "/debug/pprof/?debug=1", Nothing),
    ("HEAD", "/debug/pprof/", Nothing),
    ("GET", "/debug/pprof", RedirectBody),
    ("GET", "/debug/pprof?x=1", RedirectBody),
    ("HEAD", "/debug/pprof", RedirectBody),
    ("GET", "//debug/pprof/heap", RedirectBody),
    ("GET", "//heap", RedirectBody),
    ("GET", "/debug/pprof//heap?debug=1", RedirectBody),
    ("GET", "/debug/./pprof/../pprof/heap", RedirectBody),
    ("GET", "/debug/pprof/.", RedirectBody),
    ("POST", "/debug/pprof//heap", RedirectBody),
    ("GET", "/", Nothing),
    ("GET", "/heap", Nothing),
    ("GET", "/debug/", Nothing),
    ("GET", "/debug%2fpprof/heap", Nothing),
    ("GET", "/Debug/pprof/", Nothing),
    ("POST", "/nope", Nothing),
    ("GET", "/%64ebug/pprof/nope", Nothing),
    ("GET", "/debug/pprof/heap", Nothing),
    ("HEAD", "/debug/pprof/heap", Nothing),
    ("GET", "/debug/pprof/%68eap", Nothing),
    ("GET", "/debug/pprof/allocs", Nothing),
    ("GET", "/debug/pprof/heap?gc=1", Nothing),
    ("GET", "/debug/pprof/heap?second=30", Nothing),
    ("GET", "/debug/pprof/allocs?debug=1&x=%3Cb%3E&y", Nothing),
    ("GET", "/debug/pprof/heap?debug=0", Nothing),
    ("GET", "/debug/pprof/heap?debug=1", Nothing),
    ("HEAD", "/debug/pprof/heap?debug=1", Nothing),
    ("GET", "/debug/pprof/allocs?debug=2", Nothing),
    ("GET", "/debug/pprof/heap?debug=-1", Nothing),
    ("GET", "/debug/pprof/heap?debug=x", Nothing),
    ("GET", "/debug/pprof/heap?debug=true", Nothing),
    ("GET", "/debug/pprof/heap?debug=01", Nothing),
    ("GET", "/debug/pprof/heap?debug=0x1", Nothing),
    ("GET", "/debug/pprof/heap?debug=1.0", Nothing),
    ("GET", "/debug/pprof/heap?debug=", Nothing),
    ("GET", "/debug/pprof/heap?debug=99999999999999999999", Nothing),
    ("GET", "/debug/pprof/heap?debug=99999999999999999999x", Nothing),
    ("GET", "/debug/pprof/heap?debug=+1", Nothing),
    ("GET", "/debug/pprof/heap?debug=%2B1", Nothing),
    ("GET", "/debug/pprof/heap?debug=%zz&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?%64ebug=%31", Nothing),
    ("GET", "/debug/pprof/heap?Debug=1", Nothing),
    ("GET", "/debug/pprof/heap?debug=1&debug=0", Nothing),
    ("GET", "/debug/pprof/heap?debug=0&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1;debug=1", Nothing),
    ("GET", "/debug/pprof/heap?x=1;debug=1&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1", Nothing),
    ("HEAD", "/debug/pprof/allocs?seconds=1", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=%2B1&debug=x", Nothing),
    ("GET", "/debug/pprof/heap?seconds=", Nothing),
    ("GET", "/debug/pprof/heap?seconds=&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=0", Nothing),
    ("HEAD", "/debug/pprof/heap?seconds=0", Nothing),
    ("GET", "/debug/pprof/heap?seconds=-1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=abc", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1.5", Nothing),
    ("GET", "/debug/pprof/heap?seconds=0x2", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1_0", Nothing),
    ("GET", "/debug/pprof/heap?seconds=+1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=9223372036854775808", Nothing),
    ("GET", "/debug/pprof/heap?seconds=0&seconds=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=0&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?seconds=1&debug=-1", Nothing),
    ("GET", "/debug/pprof/nope", Nothing),
    ("GET", "/debug/pprof/nope?seconds=0&debug=1", Nothing),
    ("GET", "/debug/pprof/Heap", Nothing),
    ("GET", "/debug/pprof/heap/", Nothing),
    ("GET", "/debug/pprof/heap/x", Nothing),
    ("GET", "/debug/pprof/symbol/", Nothing),
    ("GET", "/debug/pprof/%3Cscript%3E", Nothing),
    ("POST", "/debug/pprof/", Nothing),
    ("POST", "/debug/pprof/heap", Nothing),
    ("POST", "/debug/pprof/nope", Nothing),
    ("DELETE", "/debug/pprof/allocs", Nothing),
    ("OPTIONS", "/debug/pprof/heap", Nothing),
    ("BREW", "/debug/pprof/heap", Nothing),
    ("POST", "/debug/pprof", Nothing),
    ("DELETE", "/debug/pprof/symbol", Allow),
    ("GET", "/debug/pprof/symbol", Nothing),
    ("GET", "/debug/pprof/%73ymbol?0x1", Nothing),
    ("HEAD", "/debug/pprof/symbol?0x1", Nothing),
    ("GET", "/debug/pprof/symbol?0x1+0x2+%30x3", Nothing),
    ("GET", "/debug/pprof/symbol?0+x+-1+1_", Nothing),
    ("GET", "/debug/pprof/symbol?0x1%2B0x2", Nothing),
    ("GET", "/debug/pprof/symbol?debug=1&seconds=0", Nothing),
    // Values of `gc`, which is for `heap` alone and never an error.
    ("GET", "/debug/pprof/heap?gc=0", Nothing),
    ("GET", "/debug/pprof/heap?gc=-1", Nothing),
    ("GET", "/debug/pprof/heap?gc=x", Nothing),
    ("GET", "/debug/pprof/heap?gc=", Nothing),
    ("GET", "/debug/pprof/heap?gc=99999999999999999999", Nothing),
    ("GET", "/debug/pprof/heap?gc=1&debug=1", Nothing),
    ("GET", "/debug/pprof/heap?gc=1&seconds=1", Nothing),
    ("GET", "/debug/pprof/heap?gc=1&seconds=x", Nothing),
    ("GET", "/debug/pprof/allocs?gc=1", Nothing),
    // These are the remaining forms of `debug` and `seconds`.
    ("GET", "/debug/pprof/allocs?debug=1&gc=1", Nothing),
    ("GET", "/debug/pprof/heap?debug=-99999999999999999999", Nothing),
    ("GET", "/debug/pprof/heap?debug=1_0", Nothing),
    ("GET", "/debug/pprof/heap?debug=%20", Nothing),
    ("GET", "/debug/pprof/heap?debug", Nothing),
    ("GET", "/debug/pprof/heap?=1", Nothing),
    ("GET", "/debug/pprof/heap?&&debug=1&", Nothing),
    ("GET", "/debug/pprof/heap?debug=1%", Nothing),
    ("GET", "/debug/pprof/heap?seconds", Nothing),
    ("GET", "/debug/pprof/heap?seconds=%20", Nothing),
    ("GET", "/debug/pprof/heap?seconds=01", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=1&seconds=0", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=1&debug=0", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=1&debug=", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=1&debug=99999999999999999999", Nothing),
    ("GET", "/debug/pprof/allocs?Seconds=0", Nothing),
    ("GET", "/debug/pprof/allocs?s%65conds=0", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=0;x&debug=1", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=-0", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=1e3", Nothing),
    ("GET", "/debug/pprof/allocs?seconds=-9223372036854775809", Nothing),
    ("HEAD", "/debug/pprof/heap?seconds=1&debug=1", Nothing),
    // Names, percent-encoded and not.
    ("GET", "/debug/pprof/heap%2F", Nothing),
    ("GET", "/debug/pprof/heap%00", Nothing),
    ("GET", "/debug/pprof/%2568eap", Nothing),
    ("GET", "/debug/pprof/HEAP?debug=1", Nothing),
    ("GET", "/debug/pprof/heap%3Fdebug=1", Nothing),
    ("GET", "/debug/pprof/a%20b", Nothing),
    ("HEAD", "/debug/pprof/nope", Nothing),
    ("PATCH", "/debug/pprof/heap?seconds=0", Nothing),
    ("PUT", "/debug/pprof/", Nothing),
    ("TRACE", "/debug/pprof/heap", Nothing),
    ("DELETE", "/debug/pprof/cmdline", Nothing),
    ("POST", "/debug/pprof/profile", Nothing),
    ("GET", "/debug/pprof/..", RedirectBody),
    ("GET", "/debug//pprof/", RedirectBody),
    ("GET", "/debug/pprof/heap/..", RedirectBody),
    ("HEAD", "//debug/pprof/heap?debug=1", RedirectBody),
    ("GET", "/..", RedirectBody),
];

/// The same, with a header that changes nothing.
const HEADERS_IGNORED: &[(&str, &str)] = &[
    ("/debug/pprof/heap", "Range: bytes=0-1"),
    ("/debug/pprof/heap", "Accept-Encoding: gzip"),
    ("/debug/pprof/heap?debug=1", "Accept-Encoding: gzip, br, zstd"),
    ("/debug/pprof/heap?debug=1", "Accept: application/json"),
    ("/debug/pprof/heap", "If-None-Match: *"),
    ("/debug/pprof/heap", "If-Modified-Since: Tue, 01 Jan 2036 00:00:00 GMT"),
    ("/debug/pprof/symbol?0x1", "Content-Type: application/x-www-form-urlencoded"),
    ("/debug/pprof/", "Accept-Language: de"),
    ("/debug/pprof/nope", "Range: bytes=0-1"),
];

/// Requests that we answer otherwise than Go: with which status, Go with which, and why.
#[rustfmt::skip]
const DIFFERENCES: &[(&str, &str, u16, u16, &str)] = &[
    ("POST", "/debug/pprof/symbol", 200, 405, "go tool pprof asks by POST, and gives up at an error"),
    ("GET", "/debug/pprof/cmdline", 404, 200, "arguments may hold secrets: PPROF_CMDLINE=1 tells them"),
    ("GET", "/debug/pprof/profile?seconds=1", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/trace?seconds=0.1", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/goroutine", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/goroutine?debug=2", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/goroutine?seconds=0", 404, 400, "no heap profile, and an unknown name comes first"),
    ("GET", "/debug/pprof/block", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/mutex?debug=1", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/threadcreate", 404, 200, "no heap profile"),
    ("GET", "/debug/pprof/heap?seconds=9223372037", 400, 200, "Go's time overflows; ours is at most 300 s, for the memory held"),
    ("GET", "/debug/pprof/%zz", 400, 400, "both refuse; the text of Go's is of its HTTP server"),
    ("GET", "/debug/pprof/delta_heap", 200, 404, "godeltaprof's, in Go a package of its own"),
    ("GET", "/metrics", 200, 404, "ours"),
    ("GET", "/debug/pprof/metrics", 200, 404, "ours"),
    ("GET", "/debug/pprof/heap?format=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?top=x&format=text", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?symbolize=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?frames=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?labels=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?limit=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?sample_index=x", 400, 200, "a parameter of ours, and a mistake is told"),
    ("GET", "/debug/pprof/heap?debug=1&format=json", 400, 200, "both cannot be"),
];

#[test]
fn answers_are_those_of_go() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let mut differences = String::new();
    for (method, target, may_differ) in REQUESTS {
        let body = if *method == "POST" { "x=1" } else { "" };
        let [ours, theirs] = [server.local_addr(), go.address].map(|to| request(to, method, target, body));
        let [ours, theirs] = [&ours, &theirs].map(|reply| facts(target, reply, *may_differ));
        if ours != theirs {
            differences += &format!("{method} {target}\n  ours {ours:?}\n  Go's {theirs:?}\n");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn headers_that_change_nothing_for_go_change_nothing_for_us() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let mut differences = String::new();
    for (target, header) in HEADERS_IGNORED {
        let [ours, theirs] = [server.local_addr(), go.address].map(|to| {
            let head =
                format!("GET {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{header}\r\n\r\n");
            let reply = receive(send(to, head.as_bytes())).expect("an answer");
            assert_eq!(
                (reply.header("content-encoding"), reply.header("content-range")),
                (None, None),
                "{header}"
            );
            reply
        });
        let [ours, theirs] = [&ours, &theirs].map(|reply| facts("/debug/pprof/symbol", reply, Nothing));
        if ours != theirs {
            differences += &format!("{target} {header}\n  ours {ours:?}\n  Go's {theirs:?}\n");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

/// Both ends of each difference are asked, so that one which Go does away with is noticed.
#[test]
fn differences_are_those_that_are_argued() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    for (method, target, expected_of_ours, expected_of_go, why) in DIFFERENCES {
        let body = if *method == "POST" { "0x1" } else { "" };
        let [ours, theirs] = [server.local_addr(), go.address].map(|to| request(to, method, target, body));
        assert_eq!(
            (ours.status, theirs.status),
            (*expected_of_ours, *expected_of_go),
            "{method} {target}: {why}"
        );
        if ours.status >= 400 && *target != "/debug/pprof/%zz" {
            assert_eq!(ours.header("x-go-pprof"), Some("1"), "{target}: go tool pprof shows why");
            assert!(
                ours.status != 404 || ours.text().starts_with("Unknown profile: "),
                "{target} {}",
                ours.text()
            );
        }
        // Ours alone: a profile is never current twice.
        assert_eq!(ours.header("cache-control"), Some("no-store"), "{target}");
    }
}

/// What Go's own parser says of both: the same types, period and default, but that ours is not lost in a difference.
#[test]
fn our_profiles_say_more() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    for (target, lost) in [
        ("heap", false),
        ("allocs", false),
        ("heap?seconds=1", false),
        ("allocs?seconds=1", true),
        ("heap?debug=1", false),
        ("allocs?debug=1", false),
    ] {
        let [ours, theirs] = [server.local_addr(), go.address].map(|to| {
            let said = check_valid(&in_one_piece(to, &format!("/debug/pprof/{target}")).body);
            // `types=… default=… period=… duration=…`, and then numbers of each program's own.
            let facts: Vec<String> = said.split(' ').skip(1).take(4).map(str::to_owned).collect();
            let (duration, facts) = facts.split_last().unwrap();
            (facts.join(" "), duration == "duration=0")
        });
        let theirs_kept = (theirs.0.replace("default= ", "default=alloc_space "), theirs.1);
        assert_eq!(ours, if lost { theirs_kept } else { theirs }, "{target}");
    }
}

/// The rows that both pages have, in the order that both have.
#[test]
fn the_index_is_go_s_page_with_our_profiles() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    for address in [server.local_addr(), go.address] {
        let page = in_one_piece(address, "/debug/pprof/?debug=x&seconds=0");
        let mut rest = page.text();
        for part in [
            "<title>/debug/pprof/</title>",
            "width:6rem",
            "/debug/pprof/\n<br>",
            "<p>Set debug=1 as a query parameter to export in legacy text format</p>",
            "Types of profiles available:",
            "<thead><td>Count</td><td>Profile</td></thead>",
            "<a href='allocs?debug=1'>allocs</a>",
            "<a href='heap?debug=1'>heap</a>",
            "<a href='symbol?debug=1'>symbol</a>",
            "Profile Descriptions:",
            "allocs: ",
            "A sampling of all past memory allocations",
            "heap: ",
            "A sampling of memory allocations of live objects.",
        ] {
            let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part} in {}", page.text()));
            rest = after;
        }
    }
}

/// The answer to a GET by HTTP/1.0, for which Go's longer bodies do not come in chunks.
fn in_one_piece(to: SocketAddr, target: &str) -> Reply {
    let reply = receive(send(to, format!("GET {target} HTTP/1.0\r\nHost: {to}\r\n\r\n").as_bytes()));
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, 200, "{target}");
    reply
}

/// Where a client goes that asked for `target` and is told `location`: Go's is absolute, ours relative, which is right
/// behind a proxy that strips a prefix, too.
fn resolve(target: &str, location: &str) -> String {
    let path = target.split('?').next().unwrap();
    let merged = match location.starts_with('/') {
        true => location.to_owned(),
        false => format!("{}/{location}", path.rsplit_once('/').unwrap().0),
    };
    let (path, query) = merged.split_once('?').map_or((&*merged, None), |(path, query)| (path, Some(query)));
    let mut names = Vec::new();
    for name in path.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", names.join("/"))
}

/// What is compared: status, headers, and the bodies of errors and of `symbol`.
fn facts<'a>(target: &str, reply: &'a Reply, may_differ: Differs) -> (u16, Vec<(&'a str, String)>, String) {
    let headers = HEADERS
        .into_iter()
        // Go redirects without `nosniff`; its body is HTML.
        .filter(|name| {
            may_differ != RedirectBody || !["content-type", "x-content-type-options"].contains(name)
        })
        .filter(|name| may_differ != Allow || *name != "allow")
        .filter_map(|name| Some((name, reply.header(name)?)))
        .map(|(name, value)| match name {
            "location" => (name, resolve(target, value)),
            _ => (name, value.to_owned()),
        })
        .collect();
    let is_compared = reply.status >= 400 || reply.body.starts_with(b"num_symbols");
    (reply.status, headers, if is_compared { reply.text().to_owned() } else { String::new() })
}
