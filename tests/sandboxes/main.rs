//! D4: a program that enters a sandbox after `install!` lives on: the sandbox kills whoever makes a system call that it
//! forbids, on any thread.
//!
//! The main thread's first sample is taken inside, so this has a `main` of its own: each filter is tried on it, in
//! processes of their own. Two filters more show that the sandbox does kill, and that it is found out.
#![cfg_attr(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")), allow(unused))]

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod filters;

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
fn main() {
    on_linux::main();
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
fn main() {
    println!("skipped: filters of system calls are Linux's, and the numbers are those of x86-64");
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod on_linux {
    use std::hint::black_box;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ChildStdin, Command, ExitStatus, Stdio};
    use std::sync::Barrier;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::{Duration, Instant};
    use std::{env, fs, thread};

    use workspace_tests::client::send;

    use crate::filters::{CODE, FILES, Forbidden, OTHERS, PROGRAMS, SOCKETS, THREADS, enter};

    /// What is refused, because it opens files and makes timers.
    const CPU: &str = "/debug/pprof/profile?seconds=1";
    const WALL: &str = "/debug/fgprof?seconds=1";
    const HOLDERS: &str = "/debug/pprof/holders?stack=leak_in_the_sandbox";
    /// This is empty for the same reason, and says so.
    const LEAKED_TASKS: &str = "/debug/pprof/goroutineleak?format=text";

    /// Says which filter a process is to enter.
    const CHOSEN: &str = "SANDBOX";

    const ALL: &[&[Forbidden]] = &[FILES, SOCKETS, THREADS, PROGRAMS, CODE, OTHERS];

    /// Name, what is forbidden, and the variables that the program is started with.
    type Case = (&'static str, &'static [&'static [Forbidden]], &'static [(&'static str, &'static str)]);

    const CASES: &[Case] = &[
        ("files", &[FILES], &[]),
        ("sockets", &[SOCKETS], &[]),
        ("threads", &[THREADS], &[]),
        ("programs", &[PROGRAMS], &[]),
        ("code", &[CODE], &[]),
        ("all of these", ALL, &[]),
        ("all, nothing recorded", ALL, &[("PPROF_RECORD", "off")]),
        ("all, at the default interval", ALL, &[("ALLOC_PROFILER_INTERVAL", "524288")]),
        ("all, and no server", ALL, &[("PPROF_ADDR", "off")]),
        (NOTHING_CALLED, &[FILES], &[]),
        (PORT_IN_USE, ALL, &[]),
        (DUMPS, ALL, &[]),
        (PUSHES, ALL, &[("PPROF_ADDR", "off")]),
    ];

    /// The program enters the sandbox first of all.
    const NOTHING_CALLED: &str = "files, before the program calls the profiler";

    /// Somebody else has the port.
    const PORT_IN_USE: &str = "all, and the port is in use";

    /// Profiles are to be written to files, on a signal and at exit.
    const DUMPS: &str = "all, and dumps are due";
    /// Says that they were not.
    const NO_DUMP: &str = "so no profile was written";

    /// Profiles are to be pushed when the program ends. (CPU time is not sampled: a look at the threads that is under way when
    /// the program enters the sandbox would be the end of it.)
    const PUSHES: &str = "all, and a profile is due to be pushed";
    /// Says that it was not.
    const NO_PUSH: &str = "so no profiles are pushed";

    /// How much of the stack deep frames are on, below which nothing has been yet.
    #[inline(never)]
    fn deep_inside(depth: usize, kept: &mut Vec<Vec<u8>>) {
        let room = black_box([0_u8; 4096]);
        if depth == 0 {
            kept.push(leak_in_the_sandbox());
        } else {
            deep_inside(depth - 1, kept);
        }
        black_box(room);
    }

    #[inline(never)]
    fn leak_in_the_sandbox() -> Vec<u8> {
        black_box(vec![1; 1 << 20])
    }

    fn allocate_and_free() {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for n in 0..3000_usize {
            kept.push(black_box(vec![1; n * 37 % 5000 + 1]));
            if n % 3 == 0 {
                kept.swap_remove(n / 7 % kept.len());
            }
        }
    }

    /// What one client asks of the server, whose sockets are of before the sandbox.
    fn ask(waiting: &mut Vec<TcpStream>, path: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = waiting.pop().expect("one for each request");
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .expect("it is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = if [CPU, WALL, HOLDERS].contains(&path) { "503" } else { "200" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("sandbox") || status == "200" && path != LEAKED_TASKS, "{path}: {answer}");
        answer
    }

    /// A process of before the sandbox that sends the signal for dumps when its standard input ends.
    fn signal_to_self() -> ChildStdin {
        let id = std::process::id().to_string();
        let mut shell = Command::new("sh");
        shell.args(["-c", "read line; kill -USR2 $0", &id]).stdin(Stdio::piped());
        shell.spawn().expect("a shell").stdin.take().expect("a pipe")
    }

    /// The program that is put into a sandbox. Nothing that it does itself is forbidden.
    fn run(name: &str, forbidden: &[&[Forbidden]]) {
        if name == NOTHING_CALLED {
            enter(forbidden.iter().flat_map(|calls| calls.iter().copied()));
            let kept: Vec<Vec<u8>> = (0..64).map(|_| leak_in_the_sandbox()).collect();
            assert!(alloc_profiler::snapshot().totals().alloc_samples > 0);
            return drop(kept);
        }
        let address: Option<SocketAddr> = pprof_server::install!("127.0.0.1:0");
        let push = (name == PUSHES).then(|| {
            let builder = pprof_server::Push::builder("http://127.0.0.1:9").without_cpu();
            builder.every(Duration::from_secs(3600)).start().expect("it starts")
        });
        let (enter_all, left) = threads_of_before();
        let mut waiting: Vec<_> = PATHS.iter().filter_map(|_| Some(send(address?, b""))).collect();
        let signal = (name == DUMPS).then(signal_to_self);
        enter_all.wait();
        enter(forbidden.iter().flat_map(|calls| calls.iter().copied()));
        // Its pipe is closed, upon which it sends the signal.
        drop(signal);
        // The main thread has not been sampled yet, at the default interval, nor has it used most of its stack.
        let mut kept = Vec::new();
        deep_inside(200, &mut kept);
        (0..8).for_each(|_| kept.push(leak_in_the_sandbox()));
        allocate_and_free();
        enter_all.wait();
        (0..2).for_each(|_| left.recv().expect("threads go on"));
        if address.is_none() {
            if name == PORT_IN_USE {
                // The port would be tried again after a second.
                thread::sleep(Duration::from_millis(1500));
            } else if name == PUSHES {
                drop(push);
            } else {
                assert_eq!(env::var("PPROF_ADDR").as_deref(), Ok("off"), "it serves");
            }
            return drop(kept);
        }
        // Turns of the recorder.
        if env::var_os("PPROF_RECORD").is_none_or(|period| period != "off") {
            thread::sleep(Duration::from_millis(2200));
        }
        check_answers(name, &mut waiting);
        drop(kept);
    }

    /// Two threads that were there before the sandbox: one has allocated, the other has not. They allocate after the second wait at
    /// the barrier, and say when they are done.
    fn threads_of_before() -> (&'static Barrier, Receiver<()>) {
        let enter_all: &'static Barrier = Box::leak(Box::new(Barrier::new(3)));
        let (done, left) = channel();
        for has_allocated in [true, false] {
            let done = done.clone();
            thread::spawn(move || {
                if has_allocated {
                    allocate_and_free();
                }
                enter_all.wait();
                enter_all.wait();
                allocate_and_free();
                done.send(()).expect("main waits");
            });
        }
        (enter_all, left)
    }

    const PATHS: [&str; 19] = [
        "/debug/pprof/heap?format=text",
        "/debug/pprof/heap",
        "/debug/pprof/heap?debug=1",
        "/debug/pprof/heap?format=json&seconds=1",
        "/debug/pprof/delta_heap",
        "/debug/pprof/leaks",
        "/debug/pprof/history",
        "/debug/pprof/",
        "/debug/pprof/symbol?0x1",
        "/metrics",
        "/metrics?malloc=1",
        "/debug/pprof/heap?format=text&frames=all",
        CPU,
        "/debug/pprof/threadcreate?format=text",
        "/debug/pprof/goroutine?format=text",
        "/debug/pprof/goroutine?debug=2",
        WALL,
        HOLDERS,
        LEAKED_TASKS,
    ];

    /// Asks for everything, and looks at what a sandbox could have taken from it.
    fn check_answers(name: &str, waiting: &mut Vec<TcpStream>) {
        let mut answers = PATHS.iter().map(|path| ask(waiting, path));
        let table = answers.next().expect("the first");
        assert!(table.contains("entered a sandbox"), "{name}: {table}");
        // The program's functions have names, by its symbol table.
        assert!(table.contains("leak_in_the_sandbox"), "{name}: {table}");
        let rest: Vec<String> = answers.collect();
        let metrics =
            rest.iter().find(|answer| answer.contains("alloc_profiler_inuse_bytes")).expect("metrics");
        assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{name}: {metrics}");
        let history = rest.iter().find(|answer| answer.contains("\"rss_bytes\":")).expect("the history");
        assert!(!history.contains("\"rss_bytes\":null"), "{name}: {history}");
    }

    /// A child that ends in so long was stuck.
    const LIMIT: Duration = Duration::from_secs(120);

    fn child(name: &str, variables: &[(&str, &str)]) -> ExitStatus {
        wait(command(name, variables))
    }

    fn command(name: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = workspace_tests::this_program();
        command
            .env(CHOSEN, name)
            .env("PPROF_QUIET", "1")
            .env("PPROF_RECORD", "1s")
            .env("ALLOC_PROFILER_INTERVAL", "1")
            .envs(variables.iter().copied());
        command
    }

    fn wait(mut command: Command) -> ExitStatus {
        let mut child = command.spawn().expect("it can be run again");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("it is our child") {
                return status;
            }
            if start.elapsed() > LIMIT {
                child.kill().expect("it runs");
                panic!("{command:?}: not done after {LIMIT:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The program lives, no file is written, and one line says so.
    fn dumps_are_due(name: &str) -> ExitStatus {
        let folder = tempfile::tempdir().expect("a folder");
        let errors = folder.path().join("errors");
        let dumps = folder.path().join("dumps");
        fs::create_dir(&dumps).expect("a folder");
        let variables = [("PPROF_DUMP_SIGNAL", "USR2"), ("PPROF_DUMP_AT_EXIT", "1")];
        let mut command = command(name, &variables);
        command.env("PPROF_DUMP", &dumps).stderr(fs::File::create(&errors).expect("a file"));
        let status = wait(command);
        let said = fs::read_to_string(&errors).expect("it is there");
        assert_eq!(said.matches(NO_DUMP).count(), 1, "{said}");
        assert_eq!(fs::read_dir(&dumps).expect("it is there").count(), 0, "{said}");
        status
    }

    /// The program lives, nothing is sent, and one line says so.
    fn pushes_are_due(name: &str, variables: &[(&str, &str)]) -> ExitStatus {
        let folder = tempfile::tempdir().expect("a folder");
        let errors = folder.path().join("errors");
        let mut command = command(name, variables);
        command.stderr(fs::File::create(&errors).expect("a file"));
        let status = wait(command);
        let said = fs::read_to_string(&errors).expect("it is there");
        assert!(!status.success() || said.matches(NO_PUSH).count() == 1, "{said}");
        status
    }

    pub(super) fn main() {
        if let Ok(chosen) = env::var(CHOSEN) {
            if chosen == "the sandbox itself" {
                enter(FILES.iter().copied());
                let _ = fs::File::open("/dev/null");
                return;
            }
            let (name, forbidden, _) = CASES.iter().find(|(name, ..)| *name == chosen).expect("a case");
            return run(name, forbidden);
        }
        let status = child("the sandbox itself", &[]);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "the filter kills: {status}");
        let mut killed = 0;
        for (name, _, variables) in CASES {
            let status = match *name {
                PORT_IN_USE => {
                    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
                    child(name, &[("PPROF_ADDR", &other.local_addr().expect("bound").to_string())])
                }
                DUMPS => dumps_are_due(name),
                PUSHES => pushes_are_due(name, variables),
                _ => child(name, variables),
            };
            println!("{name}: {status}");
            killed += usize::from(!status.success());
        }
        println!("killed by a sandbox: {killed} of {} tried filters", CASES.len());
        assert_eq!(killed, 0);
    }
}
