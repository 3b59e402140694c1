//! The same requests to us and to a Go program with `net/http/pprof`: same status, same headers, same errors.
//!
//! Needs `go`, 1.26 or later (before, it redirected with 301). Where we differ on purpose, the table says how.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use workspace_tests::client::{Reply, request};

/// The reference program. It ends when its standard input does.
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

/// Compared for every request.
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
];

#[test]
fn answers_are_those_of_go() {
    let go = Go::start();
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    let mut differences = String::new();
    for (method, target, may_differ) in REQUESTS {
        let body = if *method == "POST" { "x=1" } else { "" };
        let [ours, theirs] = [server.local_addr(), go.address].map(|to| request(to, method, target, body));
        let [ours, theirs] = [&ours, &theirs].map(|reply| facts(reply, *may_differ));
        if ours != theirs {
            differences += &format!("{method} {target}\n  ours {ours:?}\n  Go's {theirs:?}\n");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

/// What is compared: status, headers, and the bodies of errors and of `symbol`.
fn facts(reply: &Reply, may_differ: Differs) -> (u16, Vec<(&str, &str)>, String) {
    let headers = HEADERS
        .into_iter()
        // Go redirects without `nosniff`; its body is HTML.
        .filter(|name| {
            may_differ != RedirectBody || !["content-type", "x-content-type-options"].contains(name)
        })
        .filter(|name| may_differ != Allow || *name != "allow")
        .filter_map(|name| Some((name, reply.header(name)?)))
        .collect();
    let is_compared = reply.status >= 400 || reply.body.starts_with(b"num_symbols");
    (reply.status, headers, if is_compared { reply.text().to_owned() } else { String::new() })
}
