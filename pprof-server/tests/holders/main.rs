//! A corpus of blocks whose owners are known, and who holds them as `/debug/pprof/holders` says. A wrong owner is never named.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

mod shapes;
mod verdicts;

use std::sync::{Arc, Mutex};

use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval};
use pprof_server::serve;
use shapes::{COUNT, SHAPES, count, plant};
use verdicts::verdicts;
use workspace_tests::client::get;
use workspace_tests::{check_schema, check_valid, go_tool_pprof_at};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// What one sample of a target stands for at the default interval, and a little more.
const ONE_SAMPLE_BYTES: f64 = 530_000.0;

fn judge(is_exact: bool) {
    let server = serve("127.0.0.1:0").unwrap();
    plant();
    let reply = get(server.local_addr(), "/debug/pprof/holders?stack=shapes::&format=folded");
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    let (mut right_shapes, mut wrong) = (0, 0.0);
    for &(target, expected, is_told) in SHAPES {
        let found = verdicts(reply.text(), target, expected);
        let total = found.right + found.none + found.wrong;
        println!(
            "| {target} | {:.0} % | {:.0} % | {:.0} % |",
            100.0 * found.right / total,
            100.0 * found.none / total,
            100.0 * found.wrong / total
        );
        wrong += found.wrong;
        // Any word that was left behind hides that a block is lost. That may befall one of the few samples.
        let is_hidden = !is_exact && expected == ["[lost"] && found.none <= ONE_SAMPLE_BYTES;
        let is_right = found.right >= 0.95 * total || is_hidden;
        right_shapes += usize::from(is_right);
        // The notes of a second search say what the first one may have lacked.
        let again = || get(server.local_addr(), "/debug/pprof/holders?stack=shapes::&format=text&top=40");
        assert!(is_right || !is_exact && !is_told, "{target}: {}\n{}", reply.text(), again().text());
        if is_exact {
            let items = if target.ends_with("cycle") { 2 * count() } else { count() };
            assert_eq!(total, (items * 4096) as f64, "{target}: all blocks are there");
        }
    }
    println!("{right_shapes} of {} shapes right", SHAPES.len());
    assert_eq!(wrong, 0.0, "bytes with a wrong owner");
}

#[test]
#[ignore = "the other tests run it as processes of their own"]
fn corpus() {
    let is_exact = std::env::var("CORPUS").unwrap() == "exact";
    set_sampling_interval(if is_exact { 1 } else { 512 << 10 });
    COUNT.set(if is_exact { 40 } else { 2000 }).unwrap();
    judge(is_exact);
}

fn run(which: &str) {
    let arguments = ["--exact", "corpus", "--ignored", "--nocapture"];
    let output = workspace_tests::this_program().args(arguments).env("CORPUS", which).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}

#[test]
fn every_owner_is_found_if_every_allocation_is_sampled() {
    run("exact");
}

#[test]
fn no_wrong_owner_is_named_at_the_default_interval() {
    run("default");
}

/// The profile has the forms and the totals of the heap's.
#[test]
fn go_reads_the_chains_and_totals_are_those_of_the_heap() {
    set_sampling_interval(1);
    COUNT.get_or_init(|| 40);
    shapes::fills_vec();
    let server = serve("127.0.0.1:0").unwrap();
    let target = "/debug/pprof/holders?stack=shapes::in_vec";
    let reply = get(server.local_addr(), target);
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    check_valid(&reply.body);
    let source = format!("http://{}{target}", server.local_addr());
    let top = go_tool_pprof_at(&["-peek", "in_vec"], &source);
    assert!(top.contains("160kB"), "40 blocks of 4 KiB: {top}");
    assert!(top.contains("holders::shapes::fills_vec"), "{top}");
    let json = get(server.local_addr(), &format!("{target}&format=json"));
    check_schema("Holders", &serde_json::from_str(json.text()).unwrap());
    for form in ["&format=text", "&debug=1"] {
        let text = get(server.local_addr(), &format!("{target}{form}"));
        assert_eq!(text.status, 200, "{}", text.text_lossy());
        assert!(text.text().contains("static holders::shapes::VEC"), "{}", text.text());
    }
    let refused = get(server.local_addr(), "/debug/pprof/holders?stacks=x");
    assert_eq!(refused.status, 400);
}

static SESSIONS: Mutex<Vec<Arc<shapes::Item>>> = Mutex::new(Vec::new());
static QUEUE: Mutex<Vec<Arc<shapes::Item>>> = Mutex::new(Vec::new());

#[inline(never)]
fn in_two_lists() -> Arc<shapes::Item> {
    std::hint::black_box(Arc::new([1; 512]))
}

#[inline(never)]
fn enters_both_lists() {
    let item = in_two_lists();
    QUEUE.lock().unwrap().push(item.clone());
    SESSIONS.lock().unwrap().push(item);
}

/// Two lists have the same blocks. If one of them had only what was left behind in its memory, it would look the same.
#[test]
fn an_owner_is_uncertain_between_two_until_one_of_them_holds_more() {
    set_sampling_interval(1);
    std::thread::spawn(|| (0..20).for_each(|_| enters_both_lists())).join().unwrap();
    let server = serve("127.0.0.1:0").unwrap();
    let ask = |form: &str| {
        let target = format!("/debug/pprof/holders?stack=in_two_lists&format={form}");
        get(server.local_addr(), &target).text().to_owned()
    };
    let both = "[one of: static holders::QUEUE, static holders::SESSIONS]";
    let found = ask("folded");
    assert!(found.contains(&format!("{both};holders::in_two_lists 82240")), "{found}");
    let text = ask("text");
    assert!(text.contains("20 samples pointers lead from several variables"), "{text}");
    let more = || (0..10).for_each(|_| SESSIONS.lock().unwrap().push(in_two_lists()));
    std::thread::spawn(more).join().unwrap();
    let found = ask("folded");
    let is_held = found.contains(";holders::enters_both_lists;holders::in_two_lists 123360");
    assert!(is_held && found.contains("static holders::SESSIONS") && !found.contains("QUEUE"), "{found}");
}

#[inline(never)]
fn in_own_variable() -> &'static str {
    std::hint::black_box(String::from("a_crate").repeat(600).leak())
}

/// Nobody but the profiler has the pointer: it has noted the name of the crate that installs it.
#[test]
fn the_profilers_own_variables_hold_nothing() {
    set_sampling_interval(1);
    let settings =
        pprof_server::install::Settings { has_labels: false, has_locks: false, has_c_allocations: false };
    let install = move || {
        let name = in_own_variable();
        pprof_server::install::start("127.0.0.1:0", name, "main.rs", settings).unwrap()
    };
    // A stack so large is given back when its thread ends, and not kept for another one with what was in it.
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let address = thread.spawn(install).unwrap().join().unwrap();
    let reply = get(address, "/debug/pprof/holders?stack=in_own_variable&format=folded");
    // A word that was left behind may hide that the block is lost. But no variable holds it.
    let chain = reply.text().lines().find(|line| line.ends_with(";holders::in_own_variable 4200"));
    let holder = chain.unwrap_or_else(|| panic!("{}", reply.text_lossy())).split(';').next().unwrap();
    assert!(
        ["[lost: ", "[memory that was not sampled]", "stack of thread "]
            .iter()
            .any(|known| holder.starts_with(known)),
        "{holder}"
    );
    assert!(!reply.text().contains("pprof_server"), "{}", reply.text_lossy());
}

/// Returns how nice each thread of this name is, as the kernel says.
fn nicenesses(name: &str) -> Vec<i32> {
    let stats = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = stats.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    let of_name = stats.filter_map(|stat| {
        let (head, fields) = stat.rsplit_once(") ")?;
        // It is the 19th field of all, and two come before these.
        head.ends_with(&format!("({name}")).then(|| fields.split(' ').nth(16).unwrap().parse().unwrap())
    });
    of_name.collect()
}

/// Memory is gone over for seconds, and requests of the program come first. Under a filter of system calls, which may kill, nothing is asked of
/// the system that can be done without.
#[test]
fn searches_stand_back_behind_the_program() {
    let server = serve("127.0.0.1:0").unwrap();
    let reply = get(server.local_addr(), "/debug/pprof/holders?stack=nothing&format=folded");
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let process = format!("/proc/self/task/{}/comm", std::process::id());
    let program = nicenesses(std::fs::read_to_string(process).unwrap().trim())[0];
    let expected = if status.contains("Seccomp:\t0") { program.max(5) } else { program };
    // Each test has a server of its own.
    let (searches, figures) = (nicenesses("pprof-searches"), nicenesses("pprof-worker"));
    assert!(!searches.is_empty() && !figures.is_empty());
    assert!(searches.iter().all(|niceness| *niceness == expected), "{searches:?} of {program}");
    assert!(figures.iter().all(|niceness| *niceness == program), "{figures:?} of {program}");
}
