//! Places to start and to stop servers in, wherever a program may do so.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use pprof_server::{Handler, Server};
use tokio::runtime::{Builder, Handle};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use crate::failures::refuse;
use crate::{ask, forks, install};

/// Starts and stops all servers that there are, at `place` and under `failure`. Then the program goes on, and says so.
pub(crate) fn start_at(place: &str, failure: &str) {
    let failure = failure.to_owned();
    let start = move || start_and_stop(&failure);
    match place {
        "main" => start(),
        "twice" => {
            start.clone()();
            start();
        }
        "static" => {
            static STARTED: LazyLock<()> =
                LazyLock::new(|| start_and_stop(&std::env::args().nth(3).unwrap()));
            LazyLock::force(&STARTED);
        }
        "fork" => forks::in_child(start),
        // A server was there before the fork.
        "fork-of-server" => {
            let server = Server::builder().token("0123456789abcdef").serve("127.0.0.1:0").unwrap();
            let address = server.local_addr();
            let server = forks::in_child_with(server, |server| {
                start();
                drop(server);
            });
            assert_eq!(ask(address, "/debug/pprof/heap"), Some(401), "the parent's server");
            drop(server);
        }
        "exit" => return at_exit(),
        "drop" | "unwinding" | "thread-local" => at_end(place, start),
        _ => in_runtime(place, start),
    }
    println!("went on");
}

/// Starts within a runtime of this name.
fn in_runtime(place: &str, start: impl FnOnce() + Send + 'static) {
    match place {
        "multi" => Builder::new_multi_thread().enable_all().build().unwrap().block_on(async { start() }),
        "task" => {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async { tokio::spawn(async move { start() }).await.unwrap() });
        }
        "current" => Builder::new_current_thread().enable_all().build().unwrap().block_on(async { start() }),
        "local" => {
            let runtime = Builder::new_current_thread().build().unwrap();
            LocalSet::new().block_on(&runtime, async { spawn_local(async move { start() }).await.unwrap() });
        }
        // The handle is used on a thread that is none of the runtime's.
        "handle" => {
            let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let handle: Handle = runtime.handle().clone();
            thread::spawn(move || handle.block_on(async { start() })).join().unwrap();
        }
        "blocking" => {
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { spawn_blocking(start).await.unwrap() });
        }
        "actix" => actix_web::rt::System::new().block_on(async {
            actix_web::rt::spawn(async move { start() }).await.unwrap();
        }),
        // These runtimes open what they need when they are first asked to wait.
        "smol" => smol::block_on(async {
            smol::Timer::after(Duration::from_millis(1)).await;
            smol::spawn(async move { start() }).await;
        }),
        "async-std" => async_std::task::block_on(async {
            async_std::task::sleep(Duration::from_millis(1)).await;
            async_std::task::spawn(async move { start() }).await;
        }),
        _ => panic!("{place}"),
    }
}

/// Starts when something ends: a value, a panic that unwinds, or a thread.
fn at_end(place: &str, start: impl FnOnce() + Send + 'static) {
    match place {
        "drop" => drop(AtEnd(Some(start))),
        // The message of this panic is not one of ours.
        "unwinding" => {
            let unwound = thread::spawn(|| {
                let _at_end = AtEnd(Some(start));
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            assert!(unwound.join().is_err());
        }
        "thread-local" => {
            type Start = Box<dyn FnOnce() + Send>;
            thread_local!(static LAST: RefCell<Option<AtEnd<Start>>> = const { RefCell::new(None) });
            let start: Start = Box::new(start);
            thread::spawn(|| LAST.set(Some(AtEnd(Some(start))))).join().unwrap();
        }
        _ => panic!("{place}"),
    }
}

/// Starts when the program ends, which goes on then.
fn at_exit() {
    extern "C" fn at_exit() {
        start_and_stop(&std::env::args().nth(3).unwrap());
        println!("went on");
    }
    // SAFETY: the function is there to the end, and does not unwind.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
}

/// The profile has no names, which take time in a program that was not optimised.
const PROFILE: &str = "/debug/pprof/heap?symbolize=none";

/// Starts, asks and stops `install!`, `serve`, the builder, and a handler.
fn start_and_stop(failure: &str) {
    refuse(failure);
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // A profile needs memory too, and says so if there is none. The test is about the start.
    let is_asked = !failure.starts_with("memory");
    if let (Some(address), true) = (install(), is_asked) {
        assert_eq!(ask(address, PROFILE), Some(200));
    }
    for stop in [drop, Server::shutdown] {
        for builder in [Server::builder(), Server::builder().record_every(None)] {
            if let Ok(server) = builder.serve(any_port) {
                if is_asked {
                    let status = ask(server.local_addr(), PROFILE);
                    // Where no thread can be had for the profile, the answer says so.
                    assert!(matches!(status, Some(200 | 503)), "{status:?}");
                }
                stop(server);
            }
        }
    }
    let handler = Handler::new();
    handler.clone().shutdown();
    drop(handler);
    drop(Handler::new());
}

/// Does something when it is dropped.
struct AtEnd<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}
