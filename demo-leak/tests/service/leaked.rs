//! Which of the demo's tasks nobody can wake, as its server says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use workspace_tests::client::get;
use workspace_tests::{check_schema, check_valid, go_tool_pprof_at, scraper_rules};

use crate::service::Service;

const TARGET: &str = "/debug/pprof/goroutineleak";
const CLIENTS: usize = 100;

/// Opens connections that have said something and were answered.
fn clients(service: &Service) -> Vec<TcpStream> {
    let client = |_| {
        let mut client = TcpStream::connect(service.proxy).unwrap();
        client.write_all(b"are you there?").unwrap();
        client.read_exact(&mut [0; 14]).unwrap();
        client
    };
    (0..CLIENTS).map(client).collect()
}

/// Asks until all tasks are old enough to be judged, and returns the last answer. `each` looks at all of them.
fn when_all_are_judged(service: &Service, each: impl Fn(&str)) -> String {
    loop {
        let reply = get(service.pprof, &format!("{TARGET}?debug=2"));
        assert_eq!(reply.status, 200, "{}", reply.text_lossy());
        each(reply.text());
        if !reply.text().contains("younger than 5 s") {
            return reply.text().to_owned();
        }
    }
}

fn is_none(answer: &str) {
    assert!(!answer.contains("(leaked)"), "{answer}");
}

#[test]
fn readers_of_clients_that_have_left_are_found_and_no_others() {
    let service = Service::start_quiet(&[("ALLOC_PROFILER_INTERVAL", "1")]);
    let clients = clients(&service);
    let answer = when_all_are_judged(&service, is_none);
    // The tasks of their connections wait for them, and have the senders.
    assert!(answer.contains("could be woken"), "{answer}");
    for client in clients {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let answer = loop {
        let answer = get(service.pprof, &format!("{TARGET}?debug=2")).text().to_owned();
        // What was left behind hides some.
        if answer.matches("[suspended (leaked)").count() > CLIENTS / 2 {
            break answer;
        }
    };
    for task in answer.split("\n\n").filter(|stack| stack.starts_with("task 0x")) {
        assert!(task.contains("demo_leak::reader::Reader::sample_for_ever"), "{task}");
    }
    let text = get(service.pprof, &format!("{TARGET}?debug=1"));
    assert!(text.text().starts_with("goroutineleak profile: total "), "{}", text.text());
    assert!(text.text().contains(r#""state":"suspended (leaked)", "waits":"mpsc""#), "{}", text.text());
    let reply = get(service.pprof, TARGET);
    let said = check_valid(&reply.body);
    assert!(said.contains("types=goroutineleak/count"), "{said}");
    scraper_rules(&reply.body);
    let json = get(service.pprof, &format!("{TARGET}?format=json"));
    check_schema("Profile", &serde_json::from_str(json.text()).unwrap());
    let top = go_tool_pprof_at(&["-top"], &format!("http://{}{TARGET}", service.pprof));
    assert!(top.contains("Type: goroutineleak") && top.contains("sample_for_ever"), "{top}");
}

/// The connections stay open, and those of some clients end: what is fixed leaves nothing behind.
#[test]
fn nothing_is_found_once_it_is_fixed() {
    let arguments =
        ["--fixed", "--connections-per-second", "0", "--idle-seconds", "0", "--load-seconds", "0"];
    let service = Service::start_with(&arguments, &[("ALLOC_PROFILER_INTERVAL", "1")]);
    let mut clients = clients(&service);
    when_all_are_judged(&service, is_none);
    clients.truncate(CLIENTS / 2);
    (0..3).for_each(|_| drop(when_all_are_judged(&service, is_none)));
    drop(clients);
}
