//! The service itself: it proxies, it leaks a task and its memory with each client or does not, it shows that
//! on its status line, and it ends cleanly on Ctrl-C.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A running demo; killed when dropped.
struct Service {
    child: Child,
    lines: Receiver<String>,
    proxy: String,
}

/// The figures of a status line.
#[derive(Debug)]
struct Figures {
    open: u64,
    total: u64,
    tasks: u64,
    /// Where the system tells it.
    resident_mib: Option<f64>,
}

impl Service {
    fn start(arguments: &[&str]) -> Service {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo-leak"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("PPROF_ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary has been built");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut service = Service { child, lines, proxy: String::new() };
        service.proxy = service.line_with("proxy:").split_whitespace().last().unwrap().to_owned();
        service
    }

    /// The next line that has `part` in it.
    fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The figures of the next status line of `phase`.
    fn figures(&self, phase: &str) -> Figures {
        let line = self.line_with(&format!("| {phase:10} |"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let before = |name| words[words.iter().position(|word| *word == name).unwrap() - 1];
        let after = |name| words[words.iter().position(|word| *word == name).unwrap() + 1];
        Figures {
            open: before("open,").parse().unwrap(),
            total: before("total").parse().unwrap(),
            tasks: after("tasks").parse().unwrap(),
            resident_mib: after("RSS").parse().ok(),
        }
    }

    /// The figures of `phase` once two lines in a row agree and no client is left.
    fn settled_figures(&self, phase: &str) -> Figures {
        let mut last = self.figures(phase);
        for _ in 0..20 {
            let next = self.figures(phase);
            if next.open == 0 && next.tasks == last.tasks {
                return next;
            }
            last = next;
        }
        panic!("never settled: {last:?}");
    }

    /// What Ctrl-C does, and what must come of it.
    fn interrupt(mut self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.line_with("goodbye");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails if it has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_client_leaves_a_task_and_its_window_behind() {
    let service = Service::start(&["--idle-seconds", "1", "--load-seconds", "4"]);
    let idle = service.figures("idle");
    assert_eq!((idle.open, idle.total), (0, 0));
    let after = service.settled_figures("idle again");
    assert!(after.total >= 100, "the load was {} connections", after.total);
    assert_eq!(after.tasks - idle.tasks, after.total);
    if let (Some(idle_mib), Some(after_mib)) = (idle.resident_mib, after.resident_mib) {
        let windows_mib = after.total as f64 * 48.0 / 1024.0;
        assert!(after_mib - idle_mib > 0.8 * windows_mib, "{idle_mib} MiB became {after_mib} MiB");
    }
    service.interrupt();
}

#[test]
fn fixed_every_task_ends_and_memory_stays_low() {
    let service = Service::start(&["--fixed", "--idle-seconds", "1", "--load-seconds", "4"]);
    let idle = service.figures("idle");
    let after = service.settled_figures("idle again");
    assert!(after.total >= 100, "the load was {} connections", after.total);
    assert_eq!(after.tasks, idle.tasks);
    if let (Some(idle_mib), Some(after_mib)) = (idle.resident_mib, after.resident_mib) {
        let windows_mib = after.total as f64 * 48.0 / 1024.0;
        assert!(after_mib - idle_mib < 0.5 * windows_mib, "{idle_mib} MiB became {after_mib} MiB");
    }
    service.interrupt();
}

#[test]
fn without_load_of_its_own_it_serves_whoever_comes() {
    let service =
        Service::start(&["--connections-per-second", "0", "--idle-seconds", "0", "--load-seconds", "0"]);
    let idle = service.figures("idle again");
    let mut client = TcpStream::connect(&service.proxy).unwrap();
    client.write_all(b"is anybody there?").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "is anybody there?");
    let after = service.settled_figures("idle again");
    assert_eq!((after.total, after.tasks), (1, idle.tasks + 1));
    service.interrupt();
}
