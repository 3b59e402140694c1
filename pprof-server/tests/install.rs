//! `install!` and `serve` in programs of their own: the examples, run as children.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use workspace_tests::client::get;
use workspace_tests::{check_schema, decode, examples};

/// An example that runs. It ends when its standard input does.
struct Program {
    child: Child,
    first_line: String,
}

impl Program {
    /// Starts an example and waits for its first line on standard output: it has installed by then.
    fn start(example: &str, variables: &[(&str, &str)]) -> Program {
        let (child, first_line) =
            examples::started(examples::command(example).envs(variables.iter().copied()));
        Program { child, first_line }
    }

    /// Reads the address in its first line.
    fn address(&self) -> SocketAddr {
        examples::address_in(self.first_line.trim_start_matches("Some(").trim_end_matches(')'))
    }

    /// Lets it end; what it wrote to standard error.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(self.child.wait().unwrap().success(), "{errors}");
        errors
    }
}

/// What a program says that has installed.
fn where_it_is(address: SocketAddr) -> String {
    format!("pprof-server: profiles at http://{address}/debug/pprof/\n")
}

fn live_samples(address: SocketAddr) -> u64 {
    let index = get(address, "/debug/pprof/");
    let (_, rest) = index.text().split_once("Live samples: ").expect("the index counts live samples");
    rest.split_once(' ').unwrap().0.parse().unwrap()
}

#[test]
fn one_line_samples_and_serves() {
    let program =
        Program::start("install", &[("PPROF_ADDR", "127.0.0.1:0"), ("ALLOC_PROFILER_INTERVAL", "1")]);
    let address = program.address();
    assert_eq!(get(address, "/debug/pprof/heap").status, 200);
    assert!(live_samples(address) > 0);
    assert!(!get(address, "/debug/pprof/").text().contains("No SamplingAllocator"));
    assert_eq!(program.end(), where_it_is(address));

    let program = Program::start("install", &[("PPROF_ADDR", "127.0.0.1:0"), ("PPROF_QUIET", "1")]);
    assert_eq!(get(program.address(), "/debug/pprof/heap").status, 200);
    assert_eq!(program.end(), "");
}

#[test]
fn arguments_are_told_only_if_the_environment_says_so() {
    for (variable, status) in [("1", 200), ("0", 404), ("", 404)] {
        let variables = [("PPROF_ADDR", "127.0.0.1:0"), ("PPROF_CMDLINE", variable)];
        let program = Program::start("install", &variables);
        let reply = get(program.address(), "/debug/pprof/cmdline?debug=x");
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-go-pprof").is_some(), status == 404);
        // The only argument is the program's own name: no NUL, and no line end.
        assert_eq!(
            reply.text() == examples::path_of("install").to_str().unwrap(),
            status == 200,
            "{}",
            reply.text()
        );
        program.end();
    }
}

#[test]
fn the_address_in_the_code_is_used_and_port_0_is_told() {
    let mut program = Program::start("install_addr", &[("PPROF_ADDR", "")]);
    assert_eq!(program.first_line, "installed");
    let mut told = String::new();
    BufReader::new(program.child.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    let address =
        told.trim().trim_start_matches("pprof-server: profiles at http://").trim_end_matches("/debug/pprof/");
    assert_eq!(get(address.parse().unwrap(), "/debug/pprof/heap").status, 200);
    program.end();
}

#[test]
fn another_allocator_is_wrapped() {
    let program = Program::start("install_allocator", &[("PPROF_ADDR", "off")]);
    assert_eq!(program.first_line, "true");
    assert_eq!(program.end(), "");

    let program = Program::start("install_allocator_addr", &[("ALLOC_PROFILER_INTERVAL", "1")]);
    assert!(live_samples(program.address()) > 0);
    program.end();
}

#[test]
fn off_serves_nothing_and_says_nothing() {
    for off in ["off", "OFF"] {
        let program = Program::start("install", &[("PPROF_ADDR", off)]);
        assert_eq!(program.first_line, "None");
        assert_eq!(program.end(), "");
    }
}

#[test]
fn a_port_in_use_is_one_line_and_the_program_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let program = Program::start("install", &[("PPROF_ADDR", &address), ("PPROF_QUIET", "1")]);
    assert_eq!(program.first_line, "None");
    let errors = program.end();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for part in
        [&*format!("cannot listen on {address}: "), "in use", "PPROF_ADDR=127.0.0.1:PORT", "PPROF_ADDR=off"]
    {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn a_bad_address_is_one_line_and_the_program_goes_on() {
    for (bad, reason) in [
        ("banana", "cannot serve on banana: "),
        ("127.0.0.1", "cannot serve on 127.0.0.1: "),
        ("0.0.0.0:6060", "refused to serve on 0.0.0.0:6060: "),
    ] {
        let program = Program::start("install", &[("PPROF_ADDR", bad)]);
        assert_eq!(program.first_line, "None");
        let errors = program.end();
        assert_eq!(errors.lines().count(), 1, "{errors}");
        for part in [reason, "(from PPROF_ADDR)", "127.0.0.1:6060", "PPROF_ADDR=off"] {
            assert!(
                errors.contains(part) || part.ends_with(":6060") && errors.contains("127.0.0.1:"),
                "{errors}"
            );
        }
    }
}

#[test]
fn a_bad_interval_is_one_line_and_the_default_stays() {
    for bad in ["banana", "-1", "0.5", "512 KiB", "99999999999999999999", " "] {
        for example in ["install", "serve"] {
            let program =
                Program::start(example, &[("PPROF_ADDR", "127.0.0.1:0"), ("ALLOC_PROFILER_INTERVAL", bad)]);
            let address = program.address();
            assert_eq!(decode(&get(address, "/debug/pprof/heap").body).period, 524288, "{bad}");
            let errors = program.end();
            let warnings: Vec<_> =
                errors.lines().filter(|line| line.contains("ALLOC_PROFILER_INTERVAL")).collect();
            assert_eq!(warnings.len(), 1, "{errors}");
            for part in
                [&*format!("ALLOC_PROFILER_INTERVAL={bad:?} "), "such as 524288", "stays 524288 bytes"]
            {
                assert!(warnings[0].contains(part), "{part}: {errors}");
            }
        }
    }
}

#[test]
fn a_closed_standard_error_is_no_harm() {
    for variable in ["PPROF_ADDR", "ALLOC_PROFILER_INTERVAL"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(examples::path_of("install"));
        let mut child = command
            .env("PPROF_ADDR", "off")
            .env(variable, "banana")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(writer)
            .spawn()
            .unwrap();
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "{variable}");
    }
}

#[test]
fn the_explicit_form_serves_and_warns_where_the_allocator_is_missing() {
    let program = Program::start("serve", &[("ALLOC_PROFILER_INTERVAL", "1")]);
    assert!(live_samples(program.address()) > 0);
    assert_eq!(program.end(), "");

    let program = Program::start("serve_unsampled", &[]);
    assert!(get(program.address(), "/debug/pprof/").text().contains("No SamplingAllocator"));
    // What is not known is null, and never 0.
    let estimates = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
    let json = |shape: &str, target: &str| {
        let answer = get(program.address(), &format!("/debug/pprof/{target}"));
        let answer: Value = serde_json::from_str(answer.text()).unwrap();
        check_schema(shape, &answer);
        answer
    };
    let heap = json("Heap", "heap?format=json");
    let history = json("History", "history");
    for sums in
        [&heap["total"], &heap["total_errors"], &heap["other"], &heap["other_errors"], &history["now"]]
    {
        assert!(estimates.iter().all(|name| sums.get(name) == Some(&Value::Null)), "{sums}");
    }
    let leaks = json("Leaks", "leaks?format=json");
    assert!(leaks["suspects"].is_null() && leaks.to_string().contains("no SamplingAllocator"), "{leaks}");
    let errors = program.end();
    assert!(errors.contains("no SamplingAllocator") && errors.contains("install!()"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
