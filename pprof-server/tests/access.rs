//! Who is let in: tokens, addresses that other machines reach, host names, Unix sockets.

#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use pprof_server::{Endpoint, Error, Server, serve};
use workspace_tests::client::{Reply, get, receive, send};
use workspace_tests::examples;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn ask(server: &Server, host: &str, headers: &str) -> Reply {
    let address = ([127, 0, 0, 1], server.local_addr().port()).into();
    let request = format!("GET /debug/pprof/heap HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    receive(send(address, request.as_bytes())).expect("an answer")
}

#[test]
fn a_token_is_asked_for_on_loopback_too() {
    let server = Server::builder().token(TOKEN).serve("127.0.0.1:0").unwrap();
    let refused = ask(&server, "localhost", "");
    assert_eq!((refused.status, refused.header("x-go-pprof")), (401, Some("1")));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"pprof\""));
    assert!(refused.text().contains("Authorization: Bearer TOKEN"), "{}", refused.text());
    assert_eq!(ask(&server, "localhost", &format!("Authorization: Bearer {}\r\n", &TOKEN[1..])).status, 401);
    assert_eq!(ask(&server, "localhost", &format!("Authorization: Bearer {TOKEN}\r\n")).status, 200);
    // The index and unknown pages tell no more than the profiles do.
    for path in ["/", "/debug/pprof/", "/debug/pprof/ui.js", "/debug/pprof/nope"] {
        assert_eq!(get(server.local_addr(), path).status, 401, "{path}");
    }
}

#[test]
fn go_tool_pprof_and_curl_send_the_token_as_a_password() {
    let server = Server::builder().token(TOKEN).serve("127.0.0.1:0").unwrap();
    let url = format!("http://pprof:{TOKEN}@{}/debug/pprof/heap", server.local_addr());
    assert!(workspace_tests::go_tool_pprof_at(&["-raw"], &url).contains("PeriodType: space bytes"));
}

#[test]
fn other_machines_need_permission_and_a_token() {
    let error = serve("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, Error::NotLoopback { .. }), "{error:?}");
    let error = Server::builder().token(TOKEN).serve("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, Error::NotLoopback { .. }), "{error:?}");
    assert!(error.to_string().contains("allow_remote()"), "{error}");
    let error = Server::builder().allow_remote().serve("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, Error::NoToken { .. }), "{error:?}");
    assert!(error.to_string().contains("set PPROF_TOKEN"), "{error}");
    let error = Server::builder().allow_remote().token("short").serve("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, Error::Token { length: 5 }), "{error:?}");
    assert!(error.to_string().contains("openssl rand"), "{error}");

    let server = Server::builder().allow_remote().token(TOKEN).serve("0.0.0.0:0").unwrap();
    assert!(server.local_addr().ip().is_unspecified());
    let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(ask(&server, "127.0.0.1", "").status, 401);
    assert_eq!(ask(&server, "127.0.0.1", &authorization).status, 200);
    assert_eq!(ask(&server, "profiles.example.org", &authorization).status, 403);
    // Loopback needs no token, allowed or not.
    assert_eq!(
        ask(&Server::builder().allow_remote().serve("127.0.0.1:0").unwrap(), "localhost", "").status,
        200
    );
}

#[test]
fn host_names_are_allowed_one_by_one() {
    let server = Server::builder().allow_host("profiles.example.org").serve("127.0.0.1:0").unwrap();
    for (host, status) in [("profiles.example.org:80", 200), ("localhost", 200), ("example.org", 403)] {
        assert_eq!(ask(&server, host, "").status, status, "{host}");
    }
}

#[test]
fn the_longest_delta_is_set_within_bounds() {
    let server = Server::builder().max_delta(Duration::from_secs(1)).serve("127.0.0.1:0").unwrap();
    assert_eq!(get(server.local_addr(), "/debug/pprof/heap?seconds=1").status, 200);
    let refused = get(server.local_addr(), "/debug/pprof/heap?seconds=2");
    assert_eq!(
        (refused.status, refused.text()),
        (400, "invalid value for \"seconds\" - must be at most 1\n")
    );
    for time in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(86_401), Duration::MAX] {
        let error = Server::builder().max_delta(time).serve("127.0.0.1:0").unwrap_err();
        assert!(matches!(error, Error::MaxDelta { .. }), "{error:?}");
    }
}

/// A folder for a socket, of which a path must not be longer than 107 bytes.
fn socket_folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn get_at(path: &Path, target: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_unix_socket_is_for_its_owner_and_goes_with_the_server() {
    let folder = socket_folder();
    let path = folder.path().join("own.sock");
    let address = format!("unix:{}", path.display());
    let server = serve(&address).unwrap();
    assert_eq!(*server.endpoint(), Endpoint::Unix(path.clone()));
    assert_eq!(server.endpoint().to_string(), address);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(get_at(&path, "/debug/pprof/heap").starts_with("HTTP/1.1 200 OK"));

    // All at the other end are one client.
    let mut waiting = UnixStream::connect(&path).unwrap();
    waiting.write_all(b"GET /debug/pprof/heap?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(get_at(&path, "/debug/pprof/allocs?seconds=1").starts_with("HTTP/1.1 200 OK"));
    assert!(get_at(&path, "/debug/pprof/heap?seconds=1").starts_with("HTTP/1.1 429 "));

    let error = serve(&address).unwrap_err();
    assert!(matches!(error, Error::Socket { .. }) && error.to_string().contains(&address), "{error}");
    server.shutdown();
    assert!(!path.exists());
}

/// Starts an example. It ends when its standard input does.
fn start(variables: &[(&str, &str)]) -> (Child, String) {
    examples::started(examples::command("install").envs(variables.iter().copied()))
}

fn end((mut child, _): (Child, String)) -> String {
    drop(child.stdin.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{errors}");
    errors
}

#[test]
fn the_environment_says_all_that_the_builder_does() {
    let folder = socket_folder();
    let path = folder.path().join("environment.sock");
    let address = format!("unix:{}", path.display());
    let running = start(&[("PPROF_ADDR", &address)]);
    assert_eq!(running.1, "None");
    assert!(get_at(&path, "/debug/pprof/heap").starts_with("HTTP/1.1 200 OK"));
    // Ended without being stopped, it leaves a socket that the next one replaces.
    assert!(end(running).starts_with(&format!("pprof-server: profiles at {address}: curl --unix-socket ")));
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let running = start(&[("PPROF_ADDR", &address), ("PPROF_TOKEN", TOKEN)]);
    assert!(get_at(&path, "/debug/pprof/heap").starts_with("HTTP/1.1 401 "));
    end(running);

    let line_break = format!("{TOKEN}\n");
    let remote =
        [("PPROF_ADDR", "0.0.0.0:0"), ("PPROF_ALLOW_REMOTE", "1"), ("PPROF_TOKEN", line_break.as_str())];
    let running = start(&remote);
    assert!(running.1.starts_with("Some(0.0.0.0:"), "{}", running.1);
    let port: u16 = running.1.rsplit(':').next().unwrap().trim_end_matches(')').parse().unwrap();
    let request =
        format!("GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let reply = receive(send(([127, 0, 0, 1], port).into(), request.as_bytes())).unwrap();
    assert_eq!(reply.status, 200);
    end(running);

    for (variables, remedy) in [
        (&remote[..1], "PPROF_ALLOW_REMOTE=1"),
        (&remote[..2], "set PPROF_TOKEN"),
        (&[("PPROF_ADDR", "127.0.0.1:0"), ("PPROF_TOKEN", "short")], "openssl rand -hex 16"),
    ] {
        let running = start(variables);
        assert_eq!(running.1, "None");
        let errors = end(running);
        assert!(errors.contains(remedy) && errors.lines().count() == 1, "{remedy}: {errors}");
    }
}
