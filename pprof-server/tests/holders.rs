//! A corpus of blocks whose owners are known, and who holds them as `/debug/pprof/holders` says. A wrong owner is never named.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::mem::forget;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval};
use pprof_server::serve;
use workspace_tests::client::get;
use workspace_tests::{check_schema, check_valid, go_tool_pprof_at};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// How many targets each shape has.
static COUNT: OnceLock<u64> = OnceLock::new();
/// What a target is: so large that some of a thousand are sampled at the default interval.
type Item = [u64; 512];

fn count() -> u64 {
    *COUNT.get().unwrap()
}

/// Makes a function that allocates the targets of one shape, which are told by its name.
macro_rules! targets {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name(number: u64) -> Box<Item> {
            // The compiler makes one function of those whose code is the same.
            std::hint::black_box(stringify!($name));
            std::hint::black_box(Box::new([number; 512]))
        }
    )*};
}

targets! {
    in_vec in_map in_tree in_arcs in_arc_cycle in_rc_cycle in_list in_deque in_channel in_thread_local on_stack in_leaked in_forgotten
    in_intrusive in_chain in_task by_number in_once
}

/// A channel that nobody reads.
type Backlog = (Sender<Box<Item>>, Receiver<Box<Item>>);

static VEC: Mutex<Vec<Box<Item>>> = Mutex::new(Vec::new());
static MAP: LazyLock<Mutex<HashMap<u64, Box<Item>>>> = LazyLock::new(Mutex::default);
static TREE: Mutex<BTreeMap<u64, Box<Item>>> = Mutex::new(BTreeMap::new());
static ARCS: Mutex<Vec<Arc<Owner>>> = Mutex::new(Vec::new());
static LIST: Mutex<LinkedList<Box<Item>>> = Mutex::new(LinkedList::new());
static DEQUE: Mutex<VecDeque<Box<Item>>> = Mutex::new(VecDeque::new());
static CHANNEL: Mutex<Option<Backlog>> = Mutex::new(None);
static LEAKED: Mutex<&[Box<Item>]> = Mutex::new(&[]);
static INTRUSIVE: AtomicPtr<Linked> = AtomicPtr::new(null_mut());
static CHAIN: Mutex<Option<Box<Nested>>> = Mutex::new(None);
static NUMBERS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static ONCE: OnceLock<Box<[Box<Item>]>> = OnceLock::new();

thread_local! {
    static CACHE: RefCell<Vec<Box<Item>>> = const { RefCell::new(Vec::new()) };
}

struct Owner {
    _item: Box<Item>,
    other: Mutex<Option<Arc<Owner>>>,
}

struct Linked {
    _item: Box<Item>,
    _next: *mut Linked,
}

struct Nested {
    _item: Box<Item>,
    _next: Option<Box<Nested>>,
}

struct RcOwner {
    _item: Box<Item>,
    other: RefCell<Option<Rc<RcOwner>>>,
}

#[inline(never)]
fn fills_vec() {
    (0..count()).for_each(|number| VEC.lock().unwrap().push(in_vec(number)));
}

#[inline(never)]
fn fills_map() {
    (0..count()).for_each(|number| drop(MAP.lock().unwrap().insert(number, in_map(number))));
}

#[inline(never)]
fn fills_tree() {
    (0..count()).for_each(|number| drop(TREE.lock().unwrap().insert(number, in_tree(number))));
}

#[inline(never)]
fn fills_arcs() {
    for number in 0..count() {
        let owner = Owner { _item: in_arcs(number), other: Mutex::new(None) };
        ARCS.lock().unwrap().push(Arc::new(owner));
    }
}

#[inline(never)]
fn makes_arc_cycles() {
    for number in 0..count() {
        let owner = |item| Arc::new(Owner { _item: item, other: Mutex::new(None) });
        let [a, b] = [owner(in_arc_cycle(number)), owner(in_arc_cycle(number))];
        *a.other.lock().unwrap() = Some(b.clone());
        *b.other.lock().unwrap() = Some(a);
    }
}

#[inline(never)]
fn makes_rc_cycles() {
    for number in 0..count() {
        let owner = |item| Rc::new(RcOwner { _item: item, other: RefCell::new(None) });
        let [a, b] = [owner(in_rc_cycle(number)), owner(in_rc_cycle(number))];
        *a.other.borrow_mut() = Some(b.clone());
        *b.other.borrow_mut() = Some(a);
    }
}

#[inline(never)]
fn fills_list() {
    (0..count()).for_each(|number| LIST.lock().unwrap().push_back(in_list(number)));
}

#[inline(never)]
fn fills_deque() {
    (0..count()).for_each(|number| DEQUE.lock().unwrap().push_back(in_deque(number)));
}

#[inline(never)]
fn fills_channel() {
    let (sender, receiver) = channel();
    (0..count()).for_each(|number| sender.send(in_channel(number)).unwrap());
    *CHANNEL.lock().unwrap() = Some((sender, receiver));
}

#[inline(never)]
fn leaks() {
    let items: Vec<Box<Item>> = (0..count()).map(in_leaked).collect();
    *LEAKED.lock().unwrap() = Box::leak(items.into_boxed_slice());
}

#[inline(never)]
fn forgets() {
    (0..count()).for_each(|number| forget(in_forgotten(number)));
}

#[inline(never)]
fn links() {
    for number in 0..count() {
        let linked = Linked { _item: in_intrusive(number), _next: INTRUSIVE.load(Relaxed) };
        INTRUSIVE.store(Box::into_raw(Box::new(linked)), Relaxed);
    }
}

#[inline(never)]
fn nests() {
    for number in 0..count() {
        let mut chain = CHAIN.lock().unwrap();
        let _next = chain.take();
        *chain = Some(Box::new(Nested { _item: in_chain(number), _next }));
    }
}

#[inline(never)]
fn masks() {
    for number in 0..count() {
        NUMBERS.lock().unwrap().push(!(Box::into_raw(by_number(number)) as usize));
    }
}

#[inline(never)]
fn fills_once() {
    assert!(ONCE.set((0..count()).map(in_once).collect()).is_ok());
}

/// Two threads that wait: one has targets in a variable of its own, the other on its stack.
fn start_threads() {
    let (ready, is_ready) = channel();
    let has_cached = ready.clone();
    let cache = thread::Builder::new().name("has a cache".into());
    let caches = move || {
        (0..count()).for_each(|number| CACHE.with_borrow_mut(|cache| cache.push(in_thread_local(number))));
        has_cached.send(()).unwrap();
        thread::sleep(Duration::from_secs(1000));
    };
    cache.spawn(caches).unwrap();
    let stack = thread::Builder::new().name("has a vector".into());
    let collects = move || {
        let items: Vec<Box<Item>> = (0..count()).map(on_stack).collect();
        ready.send(()).unwrap();
        thread::sleep(Duration::from_secs(1000));
        drop(items);
    };
    stack.spawn(collects).unwrap();
    (0..2).for_each(|_| is_ready.recv().unwrap());
}

async fn waits_for_ever(items: Vec<Box<Item>>) {
    std::future::pending::<()>().await;
    drop(items);
}

#[inline(never)]
fn spawns() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let items = (0..count()).map(in_task).collect();
    drop(runtime.spawn(waits_for_ever(items)));
    forget(runtime);
}

/// Shapes by the function that allocates targets: what must be in the chain, from the root to the block, if it is told; and whether it
/// has to be told whatever the interval, since a large block or a variable is the owner.
const SHAPES: &[(&str, &[&str], bool)] = &[
    ("in_vec", &["static holders::VEC", "fills_vec"], true),
    ("in_map", &["static holders::MAP", "fills_map"], true),
    ("in_tree", &["static holders::TREE", "fills_tree"], false),
    ("in_arcs", &["static holders::ARCS", "fills_arcs"], false),
    ("in_arc_cycle", &["[cycle", "makes_arc_cycles"], false),
    ("in_rc_cycle", &["[cycle", "makes_rc_cycles"], false),
    ("in_list", &["static holders::LIST", "fills_list"], false),
    ("in_deque", &["static holders::DEQUE", "fills_deque"], true),
    ("in_channel", &["static holders::CHANNEL", "fills_channel"], false),
    ("in_thread_local", &["thread-local holders::CACHE", "start_threads"], true),
    ("on_stack", &["stack of thread has a vector", "start_threads"], false),
    ("in_leaked", &["static holders::LEAKED", "leaks"], true),
    ("in_forgotten", &["[lost"], true),
    ("in_intrusive", &["static holders::INTRUSIVE", "links"], false),
    ("in_chain", &["static holders::CHAIN", "nests"], false),
    ("in_task", &["spawns"], false),
    ("by_number", &["[lost"], true),
    ("in_once", &["static holders::ONCE", "fills_once"], true),
];

/// What may stand in a chain instead of an owner that is not known.
const UNKNOWN: [&str; 2] = ["[memory that was not sampled]", "[not judged]"];
/// What stands for a block whose site is not known.
const UNSAMPLED: &str = "[block that was not sampled]";

fn plant() {
    // What planting leaves behind on stacks goes with its thread.
    let plants = || {
        fills_vec();
        fills_map();
        fills_tree();
        fills_arcs();
        makes_arc_cycles();
        makes_rc_cycles();
        fills_list();
        fills_deque();
        fills_channel();
        leaks();
        forgets();
        links();
        nests();
        masks();
        fills_once();
        start_threads();
        spawns();
    };
    thread::spawn(plants).join().unwrap();
}

/// What one sample of a target stands for at the default interval, and a little more.
const ONE_SAMPLE_BYTES: f64 = 530_000.0;

/// Tells of each chain whether it is right, has no owner, or has a wrong one.
#[derive(Default)]
struct Verdicts {
    right: f64,
    none: f64,
    wrong: f64,
}

fn verdicts(folded: &str, target: &str, expected: &[&str]) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for line in folded.lines().filter(|line| !line.starts_with('#')) {
        let (stack, bytes) = line.rsplit_once(' ').unwrap();
        let bytes: f64 = bytes.parse().unwrap();
        let frames: Vec<&str> = stack.split(';').collect();
        if *frames.last().unwrap() != format!("holders::{target}") {
            continue;
        }
        let holds = |part: &str| frames.iter().any(|frame| frame.contains(part));
        // Where a block in between was not sampled, its site is not known, and what begins the chain is all that is told.
        let is_right = expected.iter().all(|part| holds(part));
        // Of a task it is not laid down which variable of the runtime leads to it.
        let names_root = expected[0].contains(' ') || expected[0].starts_with('[');
        if is_right || holds(UNSAMPLED) && holds(expected[0]) {
            verdicts.right += bytes;
        } else if UNKNOWN.iter().any(|part| holds(part)) || holds(UNSAMPLED) && !names_root {
            verdicts.none += bytes;
        } else {
            verdicts.wrong += bytes;
            println!("wrong: {line}");
        }
    }
    verdicts
}

fn judge(is_exact: bool) {
    let server = serve("127.0.0.1:0").unwrap();
    plant();
    let reply = get(server.local_addr(), "/debug/pprof/holders?stack=holders::&format=folded");
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
        let again = || get(server.local_addr(), "/debug/pprof/holders?stack=holders::&format=text&top=40");
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
    fills_vec();
    let server = serve("127.0.0.1:0").unwrap();
    let target = "/debug/pprof/holders?stack=holders::in_vec";
    let reply = get(server.local_addr(), target);
    assert_eq!(reply.status, 200, "{}", reply.text_lossy());
    check_valid(&reply.body);
    let source = format!("http://{}{target}", server.local_addr());
    let top = go_tool_pprof_at(&["-peek", "in_vec"], &source);
    assert!(top.contains("160kB"), "40 blocks of 4 KiB: {top}");
    assert!(top.contains("holders::fills_vec"), "{top}");
    let json = get(server.local_addr(), &format!("{target}&format=json"));
    check_schema("Holders", &serde_json::from_str(json.text()).unwrap());
    for form in ["&format=text", "&debug=1"] {
        let text = get(server.local_addr(), &format!("{target}{form}"));
        assert_eq!(text.status, 200, "{}", text.text_lossy());
        assert!(text.text().contains("static holders::VEC"), "{}", text.text());
    }
    let refused = get(server.local_addr(), "/debug/pprof/holders?stacks=x");
    assert_eq!(refused.status, 400);
}
