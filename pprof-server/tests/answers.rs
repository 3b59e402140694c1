//! Status, headers and body of the answer to every kind of request are as they should be, over a socket.

use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Server, serve};
use workspace_tests::client::{Reply, get, receive, request, send};
use workspace_tests::{check_valid, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn server() -> Server {
    serve("127.0.0.1:0").expect("a free port")
}

/// What every answer has in common.
fn assert_sound(reply: &Reply, request: &str) {
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{request}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{request}");
    assert_eq!(reply.header("connection"), Some("close"), "{request}");
    assert!(reply.header("date").is_some(), "{request}");
    let length: usize = reply.header("content-length").expect(request).parse().unwrap();
    assert!(reply.body.len() == length || request.starts_with("HEAD"), "{request}");
    assert_eq!(reply.header("content-encoding"), None, "{request}");
    assert!(reply.status >= 400 || reply.header("x-go-pprof").is_none(), "{request}");
}

#[test]
fn profiles_are_served_as_go_serves_them() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let server = server();
    for (query, content_type, heap_disposition) in [
        ("", "application/octet-stream", Some("attachment; filename=\"heap\"")),
        ("?debug=0&gc=1", "application/octet-stream", Some("attachment; filename=\"heap\"")),
        (
            "?symbolize=names&labels=none&limit=5",
            "application/octet-stream",
            Some("attachment; filename=\"heap\""),
        ),
        (
            "?format=pprof&limit=none&sample_index=1",
            "application/octet-stream",
            Some("attachment; filename=\"heap\""),
        ),
        ("?symbolize=none&frames=all", "application/octet-stream", Some("attachment; filename=\"heap\"")),
        ("?seconds=1;debug=1", "application/octet-stream", Some("attachment; filename=\"heap\"")),
        ("?seconds=1", "application/octet-stream", Some("attachment; filename=\"heap-delta\"")),
        ("?debug=1", "text/plain; charset=utf-8", None),
        ("?debug=2", "text/plain; charset=utf-8", None),
        ("?seconds=&debug=-1", "text/plain; charset=utf-8", None),
    ] {
        for name in ["heap", "allocs"] {
            let target = format!("/debug/pprof/{name}{query}");
            let started = Instant::now();
            let reply = get(server.local_addr(), &target);
            assert_sound(&reply, &target);
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(reply.header("content-type"), Some(content_type), "{target}");
            let disposition = heap_disposition.map(|value| value.replace("heap", name));
            assert_eq!(reply.header("content-disposition"), disposition.as_deref(), "{target}");
            assert_eq!(reply.body.starts_with(&[0x1f, 0x8b]), disposition.is_some(), "{target}");
            check_valid(&reply.body);
            if disposition.is_some() {
                scraper_rules(&reply.body);
            }
            assert!(query != "?seconds=1" || started.elapsed() >= Duration::from_secs(1), "{target}");
        }
    }
}

#[test]
fn errors_are_text_that_pprof_prints() {
    let server = server();
    let positive = "invalid value for \"seconds\" - must be a positive integer\n";
    for (target, status, text) in [
        ("/debug/pprof/nope", 404, "Unknown profile\n"),
        ("/debug/pprof/Heap?seconds=0", 404, "Unknown profile\n"),
        ("/debug/pprof/heap/", 404, "Unknown profile\n"),
        ("/debug/pprof/heap?seconds=0", 400, positive),
        ("/debug/pprof/heap?seconds=-1", 400, positive),
        ("/debug/pprof/heap?seconds=1.5&debug=1", 400, positive),
        ("/debug/pprof/allocs?seconds=301", 400, "invalid value for \"seconds\" - must be at most 300\n"),
        ("/debug/pprof/allocs?seconds=1&debug=1", 400, "seconds and debug params are incompatible\n"),
        (
            "/debug/pprof/heap?symbolize=x",
            400,
            "invalid value for \"symbolize\" - must be \"none\", \"names\" or \"full\"\n",
        ),
        ("/debug/pprof/heap?debug=1&format=text", 400, "format and debug params are incompatible\n"),
        (
            "/debug/pprof/heap?limit=0",
            400,
            "invalid value for \"limit\" - must be 1 to 1000000 samples, or \"none\"\n",
        ),
        ("/debug/pprof/heap?frames=x", 400, "invalid value for \"frames\" - must be \"all\", or left out\n"),
    ] {
        let reply = get(server.local_addr(), target);
        assert_sound(&reply, target);
        assert_eq!((reply.status, reply.text()), (status, text), "{target}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"), "{target}");
        assert_eq!(reply.header("x-go-pprof"), Some("1"), "{target}");
        assert_eq!(reply.header("content-disposition"), None, "{target}");
    }
    let reply = get(server.local_addr(), "/debug/pprof/cmdline?seconds=5");
    assert_eq!((reply.status, reply.header("x-go-pprof")), (404, Some("1")));
    assert!(reply.text().contains("/debug/pprof/heap") && reply.text().contains("PPROF_CMDLINE=1"));
}

#[test]
fn the_router_answers_as_go_s_does() {
    let server = server();
    for (method, target, status, location_or_allow, text) in [
        ("GET", "/", 404, None, "404 page not found\n"),
        ("POST", "/nope", 404, None, "404 page not found\n"),
        ("GET", "/debug/pprof", 307, Some("pprof/"), "Temporary Redirect\n"),
        ("GET", "//heap", 307, Some("../heap"), "Temporary Redirect\n"),
        ("GET", "/debug/pprof//heap?debug=1", 307, Some("../heap?debug=1"), "Temporary Redirect\n"),
        ("POST", "/debug/pprof/heap", 405, Some("GET, HEAD"), "Method Not Allowed\n"),
        ("POST", "/debug/pprof/nope", 405, Some("GET, HEAD"), "Method Not Allowed\n"),
        ("PUT", "/debug/pprof/symbol", 405, Some("GET, HEAD, POST"), "Method Not Allowed\n"),
        ("BREW", "/debug/pprof/", 405, Some("GET, HEAD"), "Method Not Allowed\n"),
    ] {
        let reply = request(server.local_addr(), method, target, if method == "POST" { "x=1" } else { "" });
        assert_sound(&reply, target);
        assert_eq!((reply.status, reply.text()), (status, text), "{method} {target}");
        let name = if status == 307 { "location" } else { "allow" };
        assert_eq!(reply.header(name), location_or_allow, "{method} {target}");
        assert_eq!(reply.header("x-go-pprof"), None, "{method} {target}");
    }
}

#[test]
fn head_does_the_work_and_sends_the_headers() {
    let server = server();
    for (target, status) in [
        ("/debug/pprof/", 200),
        ("/debug/pprof/heap?debug=1", 200),
        ("/debug/pprof/heap", 200),
        ("/debug/pprof/nope", 404),
        ("/debug/pprof", 307),
        ("/debug/pprof/symbol?0x1", 200),
    ] {
        let head = request(server.local_addr(), "HEAD", target, "");
        let get = get(server.local_addr(), target);
        assert_sound(&head, &format!("HEAD {target}"));
        assert_eq!((head.status, get.status), (status, status), "{target}");
        assert!(head.body.is_empty(), "{target}");
        for name in ["content-type", "content-disposition", "x-go-pprof", "location"] {
            assert_eq!(head.header(name), get.header(name), "{target} {name}");
        }
    }
    let started = Instant::now();
    let head = request(server.local_addr(), "HEAD", "/debug/pprof/heap?seconds=1", "");
    assert_eq!(head.header("content-disposition"), Some("attachment; filename=\"heap-delta\""));
    assert!(started.elapsed() >= Duration::from_secs(1) && head.body.is_empty());
}

#[test]
fn the_index_lists_what_there_is() {
    let server = server();
    let reply = get(server.local_addr(), "/debug/pprof/?debug=1");
    assert_sound(&reply, "index");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for part in [
        "<title>/debug/pprof/</title>",
        "<a href='heap?debug=1'>heap</a>",
        "<a href='allocs?debug=1'>allocs</a>",
        "<a href='symbol?debug=1'>symbol</a>",
        "<a href=\"heap?format=text&amp;top=50\">",
        "Profile Descriptions:",
        "<div class=profile-name>delta_heap: </div>",
        "<div class=profile-name>delta_block: </div>",
        "<div class=profile-name>delta_mutex: </div>",
        "<div class=profile-name>metrics: </div>",
        "Live samples: ",
    ] {
        assert!(reply.text().contains(part), "{part} in {}", reply.text());
    }
}

#[test]
fn the_page_may_load_its_own_files_alone() {
    let server = server();
    let page = get(server.local_addr(), "/debug/pprof/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'sha256-"),
        "{policy}"
    );
    assert!(policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for (file, content_type) in
        [("ui.js", "text/javascript; charset=utf-8"), ("ui.css", "text/css; charset=utf-8")]
    {
        assert!(page.text().contains(&format!("\"{file}\"")), "{file} in {}", page.text());
        let target = format!("/debug/pprof/{file}");
        let reply = get(server.local_addr(), &target);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{file}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{file}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"), "{file}");
        assert!(!reply.body.is_empty(), "{file}");
        let head = request(server.local_addr(), "HEAD", &target, "");
        assert_eq!(head.header("content-length"), Some(&*reply.body.len().to_string()), "{file}");
        assert_eq!(request(server.local_addr(), "POST", &target, "").status, 405, "{file}");

        // The browser that has it is told so; one with another is not.
        let tag = reply.header("etag").expect("a tag");
        for (known, status) in
            [(tag.to_owned(), 304), (format!("\"x\", W/{tag}"), 304), ("\"x\"".to_owned(), 200)]
        {
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIf-None-Match: {known}\r\n\r\n"
            );
            let again = receive(send(server.local_addr(), head.as_bytes())).expect("an answer");
            assert_eq!((again.status, again.header("etag")), (status, Some(tag)), "{file} {known}");
            assert_eq!(again.body.is_empty(), status == 304, "{file} {known}");
        }
    }
}

#[test]
fn symbol_takes_get_and_post() {
    let server = server();
    let unknown = "num_symbols: 1\n";
    for (method, target, body) in [
        ("GET", "/debug/pprof/symbol", ""),
        ("GET", "/debug/pprof/symbol?0x1", ""),
        ("GET", "/debug/pprof/symbol?debug=1", ""),
        ("GET", "/debug/pprof/symbol?%30x1%2B0x2", ""),
        ("POST", "/debug/pprof/symbol", "0x1+0x2"),
        ("POST", "/debug/pprof/symbol?0x3", "nonsense"),
    ] {
        let reply = request(server.local_addr(), method, target, body);
        assert_sound(&reply, target);
        assert_eq!((reply.status, reply.text()), (200, unknown), "{method} {target} {body}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"), "{target}");
    }
    let long = request(server.local_addr(), "POST", "/debug/pprof/symbol", &"1".repeat(5000));
    assert_eq!(long.text(), "num_symbols: 1\nreading request: bufio: buffer full\n");
    let most = request(server.local_addr(), "POST", "/debug/pprof/symbol", &"0x1+".repeat(1 << 18));
    assert_eq!((most.status, most.text()), (200, unknown));

    let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
    let too_long = format!("{head}Content-Length: {}\r\n\r\n", (1 << 20) + 1);
    let reply = receive(send(server.local_addr(), too_long.as_bytes())).unwrap();
    assert_eq!((reply.status, reply.header("x-go-pprof")), (413, Some("1")));
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 19, "1".repeat(1 << 19));
    let chunked = format!(
        "{}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}0\r\n\r\n",
        head.replace("Expect: 100-continue\r\n", "")
    );
    let reply = receive(send(server.local_addr(), chunked.as_bytes())).unwrap();
    assert_eq!(reply.status, 413);
}

#[test]
fn only_this_machine_s_names_are_answered() {
    let server = server();
    for (headers, status) in [
        ("Host: localhost\r\n", 200),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403),
        ("", 400),
    ] {
        let request = format!("GET /debug/pprof/heap HTTP/1.1\r\n{headers}\r\n");
        let reply = receive(send(server.local_addr(), request.as_bytes())).unwrap();
        assert_sound(&reply, headers);
        assert_eq!(reply.status, status, "{headers}");
    }
    let old = receive(send(server.local_addr(), b"GET /debug/pprof/heap HTTP/1.0\r\n\r\n")).unwrap();
    assert_eq!(old.status, 200);
}

#[test]
fn no_byte_of_a_request_comes_back_in_a_body() {
    let server = server();
    for target in [
        "/debug/pprof/zqzq",
        "/debug/pprof/heap?seconds=zqzq",
        "/debug/pprof/heap?symbolize=zqzq",
        "/debug/pprof/heap?frames=zqzq&zqzq=1",
        "/debug/pprof/heap?labels=zqzq",
        "/debug/pprof/heap?limit=zqzq",
        "/debug/pprof/heap?sample_index=zqzq",
        "/debug/pprof/heap?format=zqzq",
        "/debug/pprof/heap?format=text&top=zqzq",
        "/debug/pprof/delta_heap?client=%7Aqzq!",
        "/debug/pprof/cmdline?zqzq",
        "/metrics?malloc=zqzq",
        "/debug/pprof//zqzq",
        "/debug/pprof/?zqzq",
        "/debug/pprof/symbol?zqzq",
        "/zqzq",
    ] {
        for method in ["GET", "POST", "ZQZQ"] {
            let reply = request(server.local_addr(), method, target, "");
            assert!(!reply.text_lossy().to_ascii_lowercase().contains("zqzq"), "{method} {target}");
        }
    }
}
