//! `/debug/pprof/block` and `mutex` as a developer asks for them: who waits, who made whom wait, and for whom.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::internal::proto::Sample;
use pprof_server::{Server, labels, serve};
use workspace_tests::client::{get, request};
use workspace_tests::{check_schema, check_valid, decode, go_tool_pprof, go_tool_pprof_at};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

pprof_server::define_syscall!();

static LOCK: Mutex<u64> = Mutex::new(0);

#[inline(never)]
fn holds_the_lock() {
    let mut held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    *held += 1;
    thread::sleep(Duration::from_millis(5));
    drop(black_box(held));
}

/// Two threads that want the same lock until this is dropped.
struct Rivals(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Rivals {
    fn start() -> Rivals {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = ["acme", "tiny"].map(|tenant| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let _labels = labels! { "tenant" => tenant };
                while !is_over.load(Relaxed) {
                    holds_the_lock();
                    // The lock is not fair: without a pause, the same thread may have it again and again.
                    thread::sleep(Duration::from_millis(1));
                }
            })
        });
        Rivals(is_over, threads.into())
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// What is measured is the process's, so tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server() -> Server {
    serve("127.0.0.1:0").unwrap()
}

#[test]
fn go_tool_pprof_shows_who_waits_and_who_makes_wait() {
    let _turn = turn();
    let (server, _rivals) = (server(), Rivals::start());
    let address = server.local_addr();
    for page in ["block", "mutex"] {
        let url = format!("http://{address}/debug/pprof/{page}?seconds=1");
        let body = get(address, &format!("/debug/pprof/{page}?seconds=1")).body;
        let said = check_valid(&body);
        assert!(said.contains("types=contentions/count,delay/nanoseconds"), "{said}");
        for arguments in [
            &["-top", "-cum"][..],
            &["-top", "-cum", "-contentions"],
            &["-top", "-mean", "-sample_index=delay"],
        ] {
            let top = go_tool_pprof(arguments, &body);
            assert!(top.contains("locks::holds_the_lock"), "{page} {arguments:?}: {top}");
        }
        let tenants = go_tool_pprof(&["-tags"], &body);
        assert!(tenants.contains("acme") && tenants.contains("tiny"), "{page}: {tenants}");
        // What was waited in a second, by two threads of which one waits at each time, is a second at most; the rest of the machine may
        // take most of that.
        let profile = decode(&body);
        let waited: i64 = profile.sample.iter().map(|sample| sample.value[1]).sum();
        assert!((50_000_000..2_000_000_000).contains(&waited), "{page}: {waited}");
        // Without `seconds`, all that was measured is there, in Go's text too, which its tool reads.
        let text = get(address, &format!("/debug/pprof/{page}?debug=1")).text().to_owned();
        let start = if page == "block" { "--- contention:" } else { "--- mutex:" };
        assert!(text.starts_with(start) && text.contains("cycles/second=1000000000"), "{text}");
        let of_text =
            go_tool_pprof_at(&["-top", "-cum"], &format!("http://{address}/debug/pprof/{page}?debug=1"));
        assert!(of_text.contains("holds_the_lock"), "{url}: {of_text}");
        for format in ["text", "folded", "json"] {
            let reply = get(address, &format!("/debug/pprof/{page}?format={format}"));
            assert!(reply.text().contains("holds_the_lock"), "{page} {format}: {}", reply.text());
        }
    }
}

const WAITERS: usize = 100;

static HELD_LOCK: Mutex<()> = Mutex::new(());

#[inline(never)]
fn gives_the_lock_back(held: MutexGuard<'static, ()>) {
    drop(black_box(held));
}

/// Holds a lock for 10 ms after 100 threads have begun to wait for it. Returns for how long all waited, and for how long any may have.
fn hold_a_lock() -> [Duration; 2] {
    let held = HELD_LOCK.lock().unwrap();
    let begun = Instant::now();
    let wait = || drop(black_box(HELD_LOCK.lock()));
    let started =
        (0..WAITERS).map(|_| thread::Builder::new().name("waits-for-it".into()).spawn(wait).unwrap());
    let threads: Vec<JoinHandle<()>> = started.collect();
    while asleep("waits-for-it") < WAITERS {
        thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    thread::sleep(Duration::from_millis(10));
    let of_all = start.elapsed();
    gives_the_lock_back(held);
    let of_any = begun.elapsed();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    [of_all, of_any]
}

/// How many threads of this name sleep.
fn asleep(name: &str) -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!("({name}) S"))).count()
}

/// A lock that is held for 10 ms under 100 waiters costs them a second, and whoever gives it back is charged with that: by Go, and by us.
#[test]
fn a_holder_is_charged_as_go_charges_it() {
    let _turn = turn();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/go/lock");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lock");
    let built = Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(source).status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "this test compares us with Go: install Go 1.22 or later"
    );
    let go = Command::new(binary).output().unwrap();
    let said = String::from_utf8(go.stderr).unwrap();
    let times: Vec<u64> = said.split_whitespace().map(|nanoseconds| nanoseconds.parse().unwrap()).collect();
    let go_times = [times[0], times[1]].map(Duration::from_nanos);

    let server = server();
    let address = server.local_addr();
    let asking = thread::spawn(move || get(address, "/debug/pprof/mutex?seconds=3"));
    // Waits are measured while somebody asks.
    while get(address, "/debug/pprof/mutex?format=text").text().contains("are not measured yet") {
        thread::sleep(Duration::from_millis(10));
    }
    let our_times = hold_a_lock();
    let ours = asking.join().unwrap().body;
    for (whose, profile, function, [of_all, of_any]) in [
        ("Go", &go.stdout, "main.givesTheLockBack", go_times),
        ("ours", &ours, "locks::gives_the_lock_back", our_times),
    ] {
        let charged = Duration::from_nanos(delay_of(profile, function));
        println!("{whose}: {charged:?} for {of_all:?}, and {of_any:?} since the first waited");
        let [least, most] = [of_all, of_any].map(|time| time * WAITERS as u32);
        assert!(
            charged >= least.mul_f64(0.95) && charged <= most,
            "{whose}: {charged:?} of {least:?} to {most:?}"
        );
    }
}

/// The delay of all stacks that have this function, in nanoseconds.
fn delay_of(profile: &[u8], function: &str) -> u64 {
    let profile = decode(profile);
    let has_it = |sample: &&Sample| {
        let lines = sample.location_id.iter().flat_map(|&id| &profile.location[id as usize - 1].line);
        let mut names = lines.map(|line| profile.function[line.function_id as usize - 1].name_index);
        names.any(|name| profile.string_table[name as usize] == function)
    };
    profile.sample.iter().filter(has_it).map(|sample| sample.value[1] as u64).sum()
}

static OTHER_LOCK: Mutex<()> = Mutex::new(());

#[inline(never)]
fn wants_the_other_lock() {
    drop(black_box(OTHER_LOCK.lock()));
}

/// Has a thread wait once, until it is seen to sleep and for a while after that.
fn wait_once() {
    let held = OTHER_LOCK.lock();
    let waiter = thread::Builder::new().name("waits-once".into()).spawn(wants_the_other_lock).unwrap();
    while asleep("waits-once") == 0 {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(20));
    drop(held);
    waiter.join().unwrap();
}

/// How often somebody has waited for that lock, by this profile.
fn other_contentions(address: SocketAddr, page: &str, function: &str) -> i64 {
    let reply = get(address, &format!("/debug/pprof/{page}"));
    assert_eq!(reply.status, 200, "{page}: {}", reply.text());
    check_valid(&reply.body);
    let profile = decode(&reply.body);
    let name = |id: &u64| {
        let location = &profile.location[*id as usize - 1];
        let functions = location.line.iter().map(|line| &profile.function[line.function_id as usize - 1]);
        functions.map(|function| &*profile.string_table[function.name_index as usize]).collect::<Vec<_>>()
    };
    let is_it =
        |sample: &&Sample| sample.location_id.iter().flat_map(name).any(|name| name.contains(function));
    profile.sample.iter().filter(is_it).map(|sample| sample.value[0]).sum()
}

/// Each client of a delta profile gets each wait once, whoever else asks, and a question for the headers takes nothing away.
#[test]
fn each_client_gets_what_was_waited_since_its_last_call() {
    let _turn = turn();
    pprof_server::set_block_rate(Some(Duration::from_millis(1))).unwrap();
    let server = server();
    let address = server.local_addr();
    for (page, function) in [("delta_block", "wants_the_other_lock"), ("delta_mutex", "wait_once")] {
        let call = |query: &str| other_contentions(address, &format!("{page}{query}"), function);
        let before = call("?client=a");
        wait_once();
        for query in ["?client=a", "?client=a"] {
            let head = request(address, "HEAD", &format!("/debug/pprof/{page}{query}"), "");
            assert_eq!((head.status, head.body.len()), (200, 0));
        }
        assert_eq!(call("?client=a"), 1, "{page}, after {before}");
        assert_eq!(call("?client=a"), 0, "{page}");
        assert_eq!(call("?client=b"), before + 1, "{page}: another client has had nothing");
        for format in ["format=json", "format=text", "format=folded", "debug=1"] {
            wait_once();
            let text = get(address, &format!("/debug/pprof/{page}?client=a&{format}")).text().to_owned();
            assert!(text.contains(function), "{page} {format}: {text}");
        }
        let refused = get(address, &format!("/debug/pprof/{page}?seconds=1"));
        assert_eq!(refused.status, 400);
    }
}

/// A program in which another definition of `syscall` comes first is told so. This one has none.
#[test]
fn a_program_says_what_it_sees() {
    let text = get(server().local_addr(), "/debug/pprof/block?format=text").text().to_owned();
    assert!(!text.contains("are not measured, whatever"), "{text}");
}

/// Has as many threads as names wait for one another for ever: each has a lock, and wants that of the next.
fn begin_deadlock(names: &'static [&'static str]) {
    let locks: Arc<[Mutex<u64>]> = names.iter().map(|_| Mutex::new(0)).collect();
    let all_have_theirs = Arc::new(Barrier::new(names.len()));
    for (index, name) in names.iter().enumerate() {
        let (locks, all_have_theirs) = (locks.clone(), all_have_theirs.clone());
        let wait = move || {
            let own = locks[index].lock();
            all_have_theirs.wait();
            wants_the_next_lock(&locks[(index + 1) % locks.len()]);
            drop(black_box(own));
        };
        thread::Builder::new().name((*name).into()).spawn(wait).unwrap();
    }
}

#[inline(never)]
fn wants_the_next_lock(lock: &Mutex<u64>) {
    drop(black_box(lock.lock()));
}

/// Returns the sentences about deadlocks.
fn deadlocks(address: SocketAddr) -> Vec<String> {
    let reply = get(address, "/debug/pprof/block?current=1&format=json");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
    check_schema("Profile", &json);
    let notes = json["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned());
    notes.filter(|note| note.starts_with("deadlock: ")).collect()
}

/// Asks until there are so many, since threads need some time to come to their waits.
fn await_deadlocks(address: SocketAddr, count: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let found = deadlocks(address);
        if found.len() >= count {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "{found:?}");
    }
}

/// Threads that wait for each other's locks are a deadlock, and threads that wait for locks and get them are none, however often.
#[test]
fn a_deadlock_is_said_and_a_busy_program_has_none() {
    let _turn = turn();
    let server = server();
    let address = server.local_addr();
    let busy = busy_with_two_locks();
    for _ in 0..5 {
        assert_eq!(deadlocks(address), Vec::<String>::new());
    }
    begin_deadlock(&["two-a", "two-b"]);
    let said = await_deadlocks(address, 1).remove(0);
    for (one, other) in [("two-a", "two-b"), ("two-b", "two-a")] {
        let mut parts = said.trim_start_matches("deadlock: ").split(", ");
        let is_it = |part: &str| {
            let waits = format!(") waits for a lock that \"{other}\" (thread ");
            part.starts_with(&format!("\"{one}\" (thread ")) && part.contains(&waits)
        };
        assert!(parts.any(is_it), "{said}");
    }
    assert!(said.ends_with("None of them can go on"), "{said}");

    begin_deadlock(&["three-a", "three-b", "three-c"]);
    let all = await_deadlocks(address, 2);
    assert_eq!(all.len(), 2, "{all:?}");
    let three = all.iter().find(|said| said.contains("three-a")).unwrap();
    assert!(three.contains("three-b") && three.contains("three-c") && !three.contains("two-a"), "{three}");

    // It is on the rows too, and in Go's text.
    let reply = get(address, "/debug/pprof/block?current=1");
    check_valid(&reply.body);
    let tags = go_tool_pprof(&["-tags"], &reply.body);
    assert!(tags.contains("deadlock") && tags.contains("three-c"), "{tags}");
    let top = go_tool_pprof(&["-top", "-cum", "-contentions", "-tagfocus=deadlock"], &reply.body);
    assert!(top.contains("wants_the_next_lock") && top.contains("deadlock: "), "{top}");
    for query in ["debug=1", "format=text"] {
        let text = get(address, &format!("/debug/pprof/block?current=1&{query}")).text().to_owned();
        assert!(text.contains("wants_the_next_lock") && text.contains("deadlock: "), "{query}: {text}");
    }
    // Each of the five counts once.
    let of_them = other_contentions(address, "block?current=1", "wants_the_next_lock");
    assert_eq!(of_them, 5);
    drop(busy);
}

/// Threads that take two locks in turn, one of them while they have the other, and are often made to wait.
fn busy_with_two_locks() -> Rivals {
    let is_over = Arc::new(AtomicBool::new(false));
    let locks = Arc::new([Mutex::new(0_u64), Mutex::new(0)]);
    let threads = (0..6).map(|_| {
        let (is_over, locks) = (is_over.clone(), locks.clone());
        thread::spawn(move || {
            while !is_over.load(Relaxed) {
                let first = locks[0].lock().unwrap();
                thread::sleep(Duration::from_millis(1));
                let second = locks[1].lock().unwrap();
                drop(black_box(first));
                thread::sleep(Duration::from_millis(1));
                drop(black_box(second));
            }
        })
    });
    Rivals(is_over.clone(), threads.collect())
}
