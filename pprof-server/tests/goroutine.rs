//! `/debug/pprof/goroutine` as developers and scrapers ask for it: where threads wait, and what runs.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Server, serve};
use workspace_tests::client::get;
use workspace_tests::{check_schema, check_valid, go_tool_pprof_at, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// All tests count the threads of this process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

#[inline(never)]
fn waits_for_an_order(orders: &Receiver<()>) {
    let _ = orders.recv();
    std::hint::black_box(());
}

/// Starts a thread that waits as long as what is returned exists.
fn start_waiter() -> mpsc::Sender<()> {
    let (sender, orders) = mpsc::channel();
    let thread = thread::Builder::new().name("order reader".into());
    thread.spawn(move || waits_for_an_order(&orders)).unwrap();
    sender
}

/// Starts three threads that wait as long as what is returned exists, and returns once `server` sees all three wait.
fn start_waiters(server: &Server) -> Vec<mpsc::Sender<()>> {
    let waiters = (0..3).map(|_| start_waiter()).collect();
    await_waiters(server, "order reader", 3);
    waiters
}

/// Returns once `count` threads called `name` wait for an order.
fn await_waiters(server: &Server, name: &str, count: usize) {
    let start = Instant::now();
    let header = format!("[futex, {name}]:\n");
    loop {
        let reply = get(server.local_addr(), "/debug/pprof/goroutine?debug=2");
        assert_eq!(reply.status, 200, "{}", reply.text_lossy());
        let text = reply.text();
        let waits =
            |stack: &&str| stack.contains(&header) && stack.contains("goroutine::waits_for_an_order(");
        if text.split("\n\n").filter(waits).count() == count {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "{count} of {name}: {text}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn text_of(server: &Server, path: &str) -> String {
    let reply = get(server.local_addr(), path);
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    reply.text().to_owned()
}

#[test]
fn texts_are_go_s() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = serve("127.0.0.1:0").unwrap();
    let _waiters = start_waiters(&server);
    let labels = r#"# labels: {"kind":"thread", "thread":"order reader", "state":"sleeping", "waits":"futex", "source":"#;
    let counted = text_of(&server, "/debug/pprof/goroutine?debug=1");
    assert!(counted.starts_with("goroutine profile: total "), "{counted}");
    assert_eq!(counted.matches(labels).count(), 1, "{counted}");
    let (before, after) = counted.split_once(labels).unwrap();
    assert!(before.lines().last().unwrap().starts_with("3 @ 0x"), "{before}");
    assert!(after.split("\n\n").next().unwrap().contains("goroutine::waits_for_an_order"), "{after}");
    assert!(counted.contains("of the profiler's own are left out"), "{counted}");

    let header = "[futex, order reader]:\n";
    let each = text_of(&server, "/debug/pprof/goroutine?debug=2");
    let stacks: Vec<&str> = each.split("\n\n").filter(|stack| stack.contains(header)).collect();
    assert_eq!(stacks.len(), 3, "{each}");
    for stack in stacks {
        let mut lines = stack.lines();
        let first = lines.next().unwrap();
        let number: u32 =
            first.strip_prefix("goroutine ").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(number > 0);
        let lines: Vec<&str> = lines.collect();
        assert!(lines.len() >= 8 && lines.len().is_multiple_of(2), "{stack}");
        for pair in lines.chunks(2) {
            assert!(pair[0].ends_with("(...)") && pair[1].starts_with('\t'), "{pair:?}");
            assert!(
                pair[1].rsplit_once(" +0x").is_some_and(|(place, offset)| {
                    place.rsplit_once(':').is_some_and(|(_, line)| line.parse::<u32>().is_ok())
                        && u64::from_str_radix(offset, 16).is_ok()
                }),
                "{pair:?}"
            );
        }
        assert!(stack.contains("goroutine::waits_for_an_order(...)\n"), "{stack}");
    }
    assert!(!each.contains(", pprof-"), "{each}");
}

#[test]
fn go_tool_pprof_reads_all_of_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = serve("127.0.0.1:0").unwrap();
    let _waiters = start_waiters(&server);
    let url = format!("http://{}/debug/pprof/goroutine", server.local_addr());
    let reply = get(server.local_addr(), "/debug/pprof/goroutine");
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"goroutine\""));
    let said = check_valid(&reply.body);
    assert!(said.contains("types=goroutine/count") && said.contains("period=1"), "{said}");
    scraper_rules(&reply.body);
    let top = go_tool_pprof_at(&["-top", "-cum"], &url);
    assert!(top.contains("Type: goroutine") && top.contains("goroutine::waits_for_an_order"), "{top}");
    let focused = go_tool_pprof_at(&["-traces", "-tagfocus=thread=order reader"], &url);
    assert!(focused.contains("waits_for_an_order") && focused.contains("state:  sleeping"), "{focused}");
    let tags = go_tool_pprof_at(&["-tags"], &url);
    assert!(tags.contains("waits") && tags.contains("futex") && tags.contains("sleeping"), "{tags}");
    let text = go_tool_pprof_at(&["-top", "-cum"], &format!("{url}?debug=1"));
    assert!(text.contains("waits_for_an_order"), "{text}");
    // What was there before is not in the difference.
    let saved = std::env::temp_dir().join(format!("goroutine-{}.pb.gz", std::process::id()));
    std::fs::write(&saved, &reply.body).unwrap();
    let base = format!("-base={}", saved.display());
    let difference = go_tool_pprof_at(&["-top", &base, "-tagfocus=thread=order reader"], &url);
    assert!(!difference.contains("waits_for_an_order"), "{difference}");
    std::fs::remove_file(saved).unwrap();
}

#[test]
fn other_formats_and_differences() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = serve("127.0.0.1:0").unwrap();
    let _waiters = start_waiters(&server);
    let folded = text_of(&server, "/debug/pprof/goroutine?format=folded");
    assert!(
        folded.lines().any(|line| line.contains("waits_for_an_order") && line.ends_with(" 3")),
        "{folded}"
    );
    let text = get(server.local_addr(), "/debug/pprof/goroutine?format=text&top=100").text().to_owned();
    assert!(text.contains("waits_for_an_order"), "{text}");
    let json = get(server.local_addr(), "/debug/pprof/goroutine?format=json").body;
    check_schema("Profile", &serde_json::from_slice(&json).unwrap());
    let added = thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        (0..3).map(|_| start_waiter()).collect::<Vec<_>>()
    });
    let delta = get(server.local_addr(), "/debug/pprof/goroutine?seconds=1");
    assert_eq!(delta.header("content-disposition"), Some("attachment; filename=\"goroutine-delta\""));
    let profile = scraper_rules(&delta.body);
    assert!(profile.duration_nanos >= 1_000_000_000);
    let sum: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
    assert!(sum >= 2, "three more wait, and the one that started them ends: {sum}");
    drop(added.join().unwrap());
}

#[inline(never)]
fn begins_at_one_site(orders: &Receiver<()>) {
    waits_for_an_order(orders);
}

#[inline(never)]
fn begins_at_another_site(orders: &Receiver<()>) {
    waits_for_an_order(orders);
}

/// Ten threads from two sites are two rows.
#[test]
fn threads_are_counted_by_where_they_began() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = serve("127.0.0.1:0").unwrap();
    let start = |(name, begin): (&str, fn(&Receiver<()>))| {
        let (sender, orders) = mpsc::channel();
        let thread = thread::Builder::new().name(name.into());
        thread.spawn(move || begin(&orders)).unwrap();
        sender
    };
    let one: (&str, fn(&Receiver<()>)) = ("one", begins_at_one_site);
    let other: (&str, fn(&Receiver<()>)) = ("other", begins_at_another_site);
    let _senders: Vec<_> = [one, one, one, one, other, other, other, other, other, other].map(start).into();
    await_waiters(&server, "one", 4);
    await_waiters(&server, "other", 6);
    let reply = get(server.local_addr(), "/debug/pprof/threadcreate");
    let said = check_valid(&reply.body);
    assert!(said.contains("types=threadcreate/count"), "{said}");
    let profile = scraper_rules(&reply.body);
    let text = |index: i64| &profile.string_table[index as usize][..];
    let rows = |name: &str| -> Vec<(i64, Vec<String>)> {
        let of_name = profile.sample.iter().filter(|sample| text(sample.label[0].str_index) == name);
        let functions = |id: &u64| {
            let lines = &profile.location[*id as usize - 1].line;
            lines
                .iter()
                .map(|line| text(profile.function[line.function_id as usize - 1].name_index).to_owned())
        };
        of_name
            .map(|sample| (sample.value[0], sample.location_id.iter().flat_map(functions).collect()))
            .collect()
    };
    // Both begin in the closure above, which calls one function or the other.
    for (name, count) in [("one", 4), ("other", 6)] {
        let [(found, functions)] = &rows(name)[..] else { panic!("{name}: {:?}", rows(name)) };
        assert_eq!(*found, count, "{name}");
        assert!(functions[0].contains("threads_are_counted_by_where_they_began"), "{functions:?}");
        assert!(!functions.iter().any(|function| function.contains("waits_for_an_order")), "{functions:?}");
        assert!(functions.iter().any(|function| function.contains("start_thread")), "{functions:?}");
    }
    let url = format!("http://{}/debug/pprof/threadcreate", server.local_addr());
    assert!(go_tool_pprof_at(&["-top"], &url).contains("Type: threadcreate"));
    assert!(go_tool_pprof_at(&["-top"], &format!("{url}?debug=1")).contains("Type: threadcreate"));
    let text = get(server.local_addr(), "/debug/pprof/threadcreate?debug=1");
    assert!(text.text().starts_with("threadcreate profile: total "), "{}", text.text());
    assert!(text.text().contains(r#"# labels: {"thread":"other"}"#), "{}", text.text());
}

/// Three threads wait for a second, so that is three seconds of theirs.
#[test]
fn time_is_recorded_whether_threads_run_or_wait() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = serve("127.0.0.1:0").unwrap();
    let _waiters = start_waiters(&server);
    let address = server.local_addr();
    let second = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        get(address, "/debug/fgprof?seconds=1")
    });
    let start = Instant::now();
    let reply = get(address, "/debug/fgprof?seconds=1");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    let refused = second.join().unwrap();
    assert_eq!(refused.status, 500, "{}", refused.text_lossy());
    assert!(refused.text().contains("already in use"), "{}", refused.text());
    let said = check_valid(&reply.body);
    assert!(said.contains("types=samples/count,time/nanoseconds"), "{said}");
    let profile = scraper_rules(&reply.body);
    let text = |index: i64| &profile.string_table[index as usize][..];
    let waited: i64 = profile
        .sample
        .iter()
        .filter(|sample| sample.label.iter().any(|label| text(label.str_index) == "order reader"))
        .map(|sample| sample.value[1])
        .sum();
    // A dump stands for the mean time between two.
    let off = (waited - 3 * profile.duration_nanos).abs();
    assert!(off <= 3 * profile.period, "{waited} in {}", profile.duration_nanos);
    let url = format!("http://{address}/debug/fgprof?seconds=1");
    let top = go_tool_pprof_at(&["-top", "-cum", "-tagfocus=state=sleeping"], &url);
    assert!(top.contains("Type: time") && top.contains("waits_for_an_order"), "{top}");
    let folded = get(address, "/debug/fgprof?seconds=1&format=folded");
    assert!(folded.text().contains("waits_for_an_order"), "{}", folded.text());
}
