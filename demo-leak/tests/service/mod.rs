//! A running demo: where it listens, and what its status lines say.
#![allow(dead_code)] // Each test file is a crate of its own and uses a part.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A running demo, which is killed when this is dropped.
pub(crate) struct Service {
    child: Child,
    lines: Receiver<String>,
    /// Customers connect to this address.
    pub(crate) proxy: SocketAddr,
    /// Profiles are served at this address.
    pub(crate) pprof: SocketAddr,
}

/// The figures that a status line shows.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) open: u64,
    pub(crate) total: u64,
    pub(crate) tasks: u64,
    /// The resident memory, where the system tells it.
    pub(crate) resident_mib: Option<f64>,
}

impl Service {
    pub(crate) fn start(arguments: &[&str]) -> Service {
        Service::start_with(arguments, &[])
    }

    /// Starts a service that does nothing by itself, with these environment variables.
    pub(crate) fn start_quiet(variables: &[(&str, &str)]) -> Service {
        let arguments = ["--connections-per-second", "0", "--idle-seconds", "0", "--load-seconds", "0"];
        Service::start_with(&arguments, variables)
    }

    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Service {
        let mut child = workspace_tests::program(env!("CARGO_BIN_EXE_demo-leak"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("PPROF_ADDR", "127.0.0.1:0")
            .env_remove("ALLOC_PROFILER_INTERVAL")
            .env_remove("PPROF_TOKEN")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary has been built");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut service = Service { child, lines, proxy: unknown, pprof: unknown };
        service.proxy = service.line_with("proxy:").split_whitespace().last().unwrap().parse().unwrap();
        let served_at = service.line_with("pprof:");
        service.pprof = served_at.split('/').nth(2).expect("http://IP:PORT/debug/pprof/").parse().unwrap();
        service
    }

    /// Returns the number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line that has `part` in it.
    fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Returns the figures of the next status line of `phase`.
    pub(crate) fn figures(&self, phase: &str) -> Figures {
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

    /// Returns the figures of `phase` once two lines in a row agree and no client is left.
    pub(crate) fn settled_figures(&self, phase: &str) -> Figures {
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

    /// Does what Ctrl-C does, and demands that the service ends well.
    pub(crate) fn interrupt(mut self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.line_with("goodbye");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // This fails if the process has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
