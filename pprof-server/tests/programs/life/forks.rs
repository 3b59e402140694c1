//! Programs that fork, and go on in the children.

use std::io::Write;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pprof_server::{Handler, serve};

use crate::{ask, install};

/// Runs `body` in a child, which must end without a failure.
pub(crate) fn in_child(body: impl FnOnce()) {
    in_child_with((), |()| body());
}

/// Hands a value to a child's body; the parent has it back afterwards.
pub(crate) fn in_child_with<T>(value: T, body: impl FnOnce(T)) -> T {
    let child = fork();
    if child == 0 {
        let is_well = catch_unwind(AssertUnwindSafe(|| body(value))).is_ok();
        // SAFETY: the call ends the process.
        unsafe { libc::_exit(i32::from(!is_well)) }
    }
    // The child drops what the body was given.
    std::mem::forget(body);
    let started = Instant::now();
    let mut status = 0;
    // SAFETY: the calls fill the status in, or kill our own child.
    unsafe {
        while libc::waitpid(child, &raw mut status, libc::WNOHANG) == 0 {
            if started.elapsed() > Duration::from_secs(60) {
                libc::kill(child, libc::SIGKILL);
                panic!("the child hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(status, 0, "how the child ended");
    value
}

fn fork() -> libc::pid_t {
    // SAFETY: the test asks what a child may do.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    child
}

pub(crate) fn go_on(how: &str) {
    match how {
        "daemon" => daemon(),
        "workers" => workers(),
        "mounted" => mounted(),
        "busy" => busy(),
        _ => panic!("{how}"),
    }
}

/// A daemon is installed, and then is twice a child. The parent's port is free again when it has ended.
fn daemon() {
    let before = install();
    println!("{before:?}");
    if fork() > 0 {
        // SAFETY: the call ends the process, as daemons do.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the call asks for a session of its own.
    unsafe { libc::setsid() };
    if fork() > 0 {
        // SAFETY: the call ends the process.
        unsafe { libc::_exit(0) }
    }
    let address = before.expect("the parent installed");
    // Its parents end about now. Until then, and for no longer, their server answers.
    let started = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(60), "somebody still takes connections");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = install();
    println!("{after:?}");
    assert_eq!(ask(after.expect("installed anew"), "/debug/pprof/heap"), Some(200));
    assert_eq!(install(), after);
    println!("went on");
}

/// A server loads all it needs, and then works in children: each serves at a port of its own.
fn workers() {
    let of_parent = install().expect("installed");
    let mut connection = TcpStream::connect(of_parent).unwrap();
    for _ in 0..3 {
        in_child(|| {
            let server = serve("127.0.0.1:0").unwrap();
            assert_ne!(server.local_addr(), of_parent);
            assert_eq!(ask(server.local_addr(), "/debug/pprof/heap"), Some(200));
            // The child allocates, and sees what it allocated. So does a child of a child.
            in_child_with(server, |server| {
                drop(server);
                let server = serve("127.0.0.1:0").unwrap();
                assert_eq!(ask(server.local_addr(), "/debug/pprof/heap?format=json"), Some(200));
                server.shutdown();
            })
            .shutdown();
            // The parent lives, so its port is in use.
            assert!(serve(of_parent).unwrap_err().to_string().contains("in use"));
        });
        assert_eq!(ask(of_parent, "/debug/pprof/heap"), Some(200));
    }
    // This is half a request, from before the forks, which is the parent's alone.
    connection.write_all(b"GET /debug/pprof/heap HTTP/1.1\r\n").unwrap();
    println!("went on");
}

/// A handler that was mounted before the fork works in the child.
fn mounted() {
    let handler = Handler::new();
    assert_eq!(respond(&handler), 200);
    let handler = in_child_with(handler, |handler| {
        assert_eq!(respond(&handler), 200);
        drop(handler);
    });
    assert_eq!(respond(&handler), 200);
    println!("went on");
}

fn respond(handler: &Handler) -> u16 {
    let request = http::Request::get("/debug/pprof/history").body(String::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = async { tokio::time::timeout(Duration::from_secs(30), handler.respond(request)).await };
    runtime.block_on(answer).expect("an answer").status().as_u16()
}

/// Children are made while profiles are encoded and names looked up: they wait for no lock of the parent's.
fn busy() {
    let of_parent = install().expect("installed");
    let asking: Vec<_> = ["heap", "leaks", "metrics", "history", "heap?debug=1", "heap?format=text"]
        .map(|path| {
            std::thread::spawn(move || {
                for _ in 0..40 {
                    assert!(ask(of_parent, &format!("/debug/pprof/{path}")).is_some());
                }
            })
        })
        .into();
    for _ in 0..20 {
        in_child(|| {
            let server = serve("127.0.0.1:0").unwrap();
            assert_eq!(ask(server.local_addr(), "/debug/pprof/heap"), Some(200));
            assert_eq!(ask(server.local_addr(), "/debug/pprof/history"), Some(200));
        });
    }
    asking.into_iter().for_each(|asking| asking.join().unwrap());
    println!("went on");
}
