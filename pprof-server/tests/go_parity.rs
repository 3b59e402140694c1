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

#[path = "go_parity/requests.rs"]
mod requests;
use requests::{DIFFERENCES, Differs, HEADERS_IGNORED, REQUESTS};

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
        let [ours, theirs] =
            [&ours, &theirs].map(|reply| facts("/debug/pprof/symbol", reply, Differs::Nothing));
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
            may_differ != Differs::RedirectBody || !["content-type", "x-content-type-options"].contains(name)
        })
        .filter(|name| may_differ != Differs::Allow || *name != "allow")
        .filter_map(|name| Some((name, reply.header(name)?)))
        .map(|(name, value)| match name {
            "location" => (name, resolve(target, value)),
            _ => (name, value.to_owned()),
        })
        .collect();
    let is_compared = reply.status >= 400 || reply.body.starts_with(b"num_symbols");
    (reply.status, headers, if is_compared { reply.text().to_owned() } else { String::new() })
}
