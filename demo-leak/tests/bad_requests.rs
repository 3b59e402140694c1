//! What requests that are wrong get from a real program: a plain refusal, in which nothing of the request comes back.
#![cfg(target_os = "linux")]

mod service;

use std::time::Duration;

use service::Service;
use workspace_tests::busy::within;
use workspace_tests::client::{Reply, get, receive, request, send};

#[test]
fn times_that_are_none() {
    let service = Service::start_quiet(&[]);
    for seconds in [
        "0",
        "-1",
        "1e9",
        "NaN",
        "inf",
        "5s",
        "0x5",
        "301",
        "99999999999999999999",
        "%00",
        "1%20",
        "-0",
        "1.0",
    ] {
        let target = format!("/debug/pprof/heap?seconds={seconds}");
        let reply = within(Duration::from_secs(1), seconds, || get(service.pprof, &target));
        assert_eq!((reply.status, reply.header("x-go-pprof")), (400, Some("1")), "{seconds}");
    }
    assert_eq!(get(service.pprof, "/debug/pprof/heap?seconds=1&seconds=NaN").status, 200);
    service.interrupt();
}

#[test]
fn web_pages_of_other_names_and_origins() {
    let service = Service::start_quiet(&[]);
    let port = service.pprof.port();
    let status = |request: String| receive(send(service.pprof, request.as_bytes())).expect(&request).status;
    for (line, headers, expected) in [
        ("GET /debug/pprof/heap HTTP/1.0", String::new(), 200),
        ("GET /debug/pprof/heap HTTP/1.1", String::new(), 400),
        ("GET /debug/pprof/heap HTTP/1.1", "Host: evil.example\r\n".to_owned(), 403),
        ("GET /debug/pprof/heap HTTP/1.1", "Host: localhost.evil\r\n".to_owned(), 403),
        ("GET /debug/pprof/heap HTTP/1.1", format!("Host: 127.0.0.1:{}\r\n", port ^ 1), 200),
        ("GET /debug/pprof/heap HTTP/1.1", format!("Host: [::1]:{port}\r\n"), 200),
        ("GET /debug/pprof/heap HTTP/1.1", format!("Host: [::ffff:127.0.0.1]:{port}\r\n"), 200),
        ("GET /debug/pprof/heap HTTP/1.1", "Host: localhost\r\nHost: localhost\r\n".to_owned(), 400),
        ("GET http://evil.example/debug/pprof/heap HTTP/1.1", "Host: localhost\r\n".to_owned(), 403),
        ("GET /debug/pprof/heap HTTP/1.1", "Host: localhost\r\nOrigin: null\r\n".to_owned(), 403),
        (
            "GET /debug/pprof/heap HTTP/1.1",
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n".to_owned(),
            403,
        ),
    ] {
        assert_eq!(status(format!("{line}\r\n{headers}\r\n")), expected, "{line} {headers}");
    }
    service.interrupt();
}

/// What every answer must have, and must not.
fn assert_clean(reply: &Reply, planted: &str, request: &str) {
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(reply.header(name), Some(value), "{request}");
    }
    assert!(reply.header("content-type").is_some(), "{request}");
    assert_eq!(reply.header("access-control-allow-origin"), None, "{request}");
    assert!(!reply.text_lossy().contains(planted), "{request} came back: {}", reply.text_lossy());
}

#[test]
fn nothing_of_a_request_comes_back() {
    let service = Service::start_quiet(&[]);
    let planted = "pl4nted";
    for target in [
        "/pl4nted",
        "/debug/pprof/pl4nted",
        "/debug/pprof/%3Cscript%3Epl4nted",
        "/debug/pprof/heap/pl4nted",
        "/debug/pprof/heap?seconds=pl4nted",
        "/debug/pprof/heap?symbolize=pl4nted",
        "/debug/pprof/heap?frames=pl4nted",
        "/debug/pprof/heap?debug=1&pl4nted",
        "/debug/pprof/symbol?pl4nted",
        "/debug/pprof?pl4nted",
        "/debug//pprof/pl4nted",
        "/debug/pprof/?pl4nted",
    ] {
        let reply = get(service.pprof, target);
        assert_clean(&reply, planted, target);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PL4NTED"] {
        for target in ["/debug/pprof/heap", "/debug/pprof/", "/debug/pprof/symbol", "/pl4nted"] {
            let reply = request(service.pprof, method, target, planted);
            assert_clean(&reply, planted, &format!("{method} {target}"));
            assert!(!reply.text_lossy().contains("PL4NTED"));
        }
    }
    service.interrupt();
}

#[test]
fn paths_that_are_nearly_right() {
    let service = Service::start_quiet(&[]);
    for target in [
        "/debug/pprof/heap/",
        "/debug/pprof/Heap",
        "/DEBUG/PPROF/heap",
        "/debug/pprof/heap%2f",
        "/debug/pprof/%3Cscript%3Escripty%3Cscript%3E",
        "/debug%2fpprof/heap",
        "/debug/pprof/heap%00",
    ] {
        let reply = get(service.pprof, target);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (404, Some("text/plain; charset=utf-8")),
            "{target}"
        );
    }
    // This is not even a request.
    let reply = get(service.pprof, "/debug/pprof/<script>scripty<script>");
    assert_eq!((reply.status, reply.body.len()), (400, 0));
    for target in ["//debug//pprof/heap", "/debug/pprof/../pprof/heap"] {
        assert_eq!(get(service.pprof, target).status, 307, "{target}");
    }
    service.interrupt();
}
