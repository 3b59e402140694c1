//! The handler inside servers of other makes: the examples, run as children, at two prefixes each.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use workspace_tests::client::{get, receive, request, send};
use workspace_tests::{check_valid, examples, go_tool_pprof, scraper_rules};

/// An example that runs. It is killed when this is dropped.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(example: &str) -> Program {
        Program::start_with(example, &[])
    }

    fn start_with(example: &str, variables: &[(&str, &str)]) -> Program {
        let mut child = examples::command(example)
            .envs(variables.iter().copied())
            .arg("127.0.0.1:0")
            .env("ALLOC_PROFILER_INTERVAL", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let address = examples::address_in(&examples::first_line(&mut child));
        Program { child, address }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every server must do, wherever the handler is mounted.
fn assert_serves(example: &str) -> Program {
    let program = Program::start(example);
    let address = program.address;
    assert_eq!(get(address, "/").text(), "hello", "the host's own routes");
    for prefix in ["/debug/pprof", "/internal/profiles"] {
        for name in ["heap", "allocs", "heap?seconds=1"] {
            let target = format!("{prefix}/{name}");
            let reply = get(address, &target);
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(reply.header("content-type"), Some("application/octet-stream"), "{target}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{target}");
            check_valid(&reply.body);
            scraper_rules(&reply.body);
        }
        let index = get(address, &format!("{prefix}/"));
        assert_eq!(index.status, 200, "{prefix}");
        let links: Vec<_> =
            index.text().split("href='").skip(1).map(|link| link.split('\'').next().unwrap()).collect();
        assert!(links.contains(&"heap?debug=1"), "{links:?}");
        for link in links {
            assert!(!link.contains('/'), "{link} leaves the prefix");
            assert_eq!(get(address, &format!("{prefix}/{link}")).status, 200, "{prefix}/{link}");
        }
        for file in ["ui.js", "ui.css"] {
            assert!(index.text().contains(&format!("\"{file}\"")), "{file}");
            assert_eq!(get(address, &format!("{prefix}/{file}")).status, 200, "{prefix}/{file}");
        }
        let head = request(address, "HEAD", &format!("{prefix}/symbol"), "");
        assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some("15")));
        let named = request(address, "POST", &format!("{prefix}/symbol"), "0x1");
        assert_eq!((named.status, named.text()), (200, "num_symbols: 1\n"));
        assert_eq!(get(address, &format!("{prefix}/nope")).status, 404);
        assert_eq!(request(address, "DELETE", &format!("{prefix}/heap"), "").status, 405);
        let page = format!("GET {prefix}/heap HTTP/1.1\r\nHost: app\r\nConnection: close\r\n");
        let from_elsewhere = format!("{page}Origin: http://evil.example\r\n\r\n");
        assert_eq!(receive(send(address, from_elsewhere.as_bytes())).unwrap().status, 403);
        assert_eq!(receive(send(address, format!("{page}\r\n").as_bytes())).unwrap().status, 200);
    }
    // Without its slash, the index's links are mended in the browser, or it is sent there.
    let bare = get(address, "/debug/pprof");
    match bare.status {
        200 => assert!(bare.text().contains("location.replace(location.pathname + '/'")),
        status => assert_eq!((status, bare.header("location")), (307, Some("pprof/"))),
    }
    workspace_tests::go_tool_pprof_at(&["-top"], &format!("http://{address}/internal/profiles/heap"));

    program
}

/// One delta of a kind for each client, and its place is free once the client has left.
fn assert_places(program: &Program) {
    let address = program.address;
    let delta = || get(address, "/internal/profiles/heap?seconds=1").status;
    let started = Instant::now();
    let waiting = loop {
        // Refused, if a delta that is asked for below overtakes it.
        let waiting = send(address, b"GET /debug/pprof/heap?seconds=300 HTTP/1.1\r\nHost: app\r\n\r\n");
        if delta() == 429 {
            break waiting;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "two deltas for one client");
    };
    drop(waiting);
    let started = Instant::now();
    while delta() != 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "the client that left still waits");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn axum_serves_profiles() {
    assert_places(&assert_serves("axum"));
}

#[test]
fn hyper_serves_profiles() {
    assert_places(&assert_serves("hyper"));
}

#[test]
fn actix_web_serves_profiles() {
    assert_places(&assert_serves("actix"));
}

#[cfg(unix)]
#[test]
fn a_graceful_shutdown_does_not_wait_for_deltas() {
    let mut program = Program::start("axum");
    let waiting = send(program.address, b"GET /debug/pprof/heap?seconds=300 HTTP/1.1\r\nHost: app\r\n\r\n");
    // Answered after the one above was accepted.
    assert_eq!(get(program.address, "/debug/pprof/").status, 200);
    let started = Instant::now();
    let interrupt = format!("kill -INT {}", program.child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(receive(waiting).map(|reply| reply.status), Some(503));
    assert!(program.child.wait().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// The layer of the example labels by route and tenant, and the profile tells who holds the memory.
#[test]
fn a_layer_labels_requests() {
    let program = Program::start_with("axum_labels", &[("TOKIO_WORKER_THREADS", "1")]);
    // The runtime's thread may have begun before the program set the interval. It looks again after a mebibyte.
    for (tenant, requests) in [("first", 1), ("acme", 3), ("tiny", 1)] {
        for _ in 0..requests {
            let request = format!(
                "GET /remember/it HTTP/1.1\r\nHost: localhost\r\nx-tenant: {tenant}\r\nConnection: close\r\n\r\n"
            );
            let reply = receive(send(program.address, request.as_bytes())).unwrap();
            assert_eq!(reply.text(), "remembered");
        }
    }
    let heap = get(program.address, "/debug/pprof/heap").body;
    let top = go_tool_pprof(&["-top", "-cum", "-unit=mb", "-tagroot=tenant,route"], &heap);
    let held = |name: &str| {
        let line = top
            .lines()
            .find(|line| line.trim_end().ends_with(name))
            .unwrap_or_else(|| panic!("{name}: {top}"));
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    // All of them but the first are sampled for certain. A mebibyte is what `mb` stands for.
    assert!(held(" acme").starts_with("3") && held(" tiny").starts_with("1"), "{top}");
    assert!(held(" /remember/{what}").starts_with(['4', '5']), "{top}");
}
