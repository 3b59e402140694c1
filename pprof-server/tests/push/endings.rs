//! A program that ends has pushed all, in whatever way it ends, and does not wait for ever. Each is a process of its own.

use std::hint::black_box;
use std::process::{Command, exit};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pprof_server::Push;

use super::engine::{Answer, Engine, allocated_by};
use super::{ALLOCATED, push_to, worker};

/// Says how the process is to end, and where the engine is.
const ENDING: &str = "PUSH_ENDING";
const URL: &str = "PUSH_URL";

/// How long the end of a program waits for the last push.
const LONGEST_END: Duration = Duration::from_secs(5);

static PUSH: OnceLock<Push> = OnceLock::new();

worker!(work_at_the_end);

/// What the processes do. By itself it does nothing.
#[test]
fn program() {
    let (Ok(ending), Ok(url)) = (std::env::var(ENDING), std::env::var(URL)) else { return };
    let mut kept = Vec::with_capacity(100);
    let push = push_to(&url).every(Duration::from_secs(3600)).start().unwrap();
    match &*ending {
        "drop" => {
            work_at_the_end(&mut kept);
            drop(push);
            // Nothing runs at this exit.
            // SAFETY: it ends the process.
            unsafe { libc::_exit(7) }
        }
        "exit" => {
            PUSH.set(push).unwrap();
            work_at_the_end(&mut kept);
            exit(7)
        }
        "fork" => {
            // SAFETY: the child calls what may be called there: it drops what has nothing to wait for, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                drop(push);
                exit(7);
            }
            let mut status = 0;
            // SAFETY: the child is ours, and the status is there.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            PUSH.set(push).unwrap();
            work_at_the_end(&mut kept);
            exit(libc::WEXITSTATUS(status))
        }
        _ => panic!("{ending}"),
    }
}

/// Runs the program, and returns how long it took.
fn run(ending: &str, engine: &Engine) -> Duration {
    let start = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "endings::program"]).env(ENDING, ending).env(URL, engine.url());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{ending}: {}", String::from_utf8_lossy(&output.stderr));
    start.elapsed()
}

#[test]
fn a_program_that_ends_has_pushed_all() {
    for ending in ["drop", "exit", "fork"] {
        // A program does not wait longer than 5 s, for which a machine may be too busy.
        let is_told = (0..20).any(|_| {
            let engine = Engine::start(|_| Answer::Ok);
            let time = run(ending, &engine);
            let told = allocated_by("push::endings::work_at_the_end", &engine.received());
            assert!(told == ALLOCATED || time >= LONGEST_END, "{ending}: {told} after {time:?}");
            told == ALLOCATED
        });
        assert!(is_told, "{ending}");
    }
}

#[test]
fn a_program_that_ends_does_not_wait_for_ever() {
    for ending in ["drop", "exit"] {
        let engine = Engine::start(|_| Answer::Silence);
        run(ending, &engine);
        assert!(engine.received().len() <= 1, "{ending}");
    }
}
