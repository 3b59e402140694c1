//! Blocks whose owners are known: shapes of owners, each with a function that allocates its targets.

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

/// How many targets each shape has.
pub(crate) static COUNT: OnceLock<u64> = OnceLock::new();
/// What a target is: so large that some of a thousand are sampled at the default interval.
pub(crate) type Item = [u64; 512];

pub(crate) fn count() -> u64 {
    *COUNT.get().unwrap()
}

/// Makes a function that allocates the targets of one shape, which are told by its name.
macro_rules! targets {
    ($($name:ident)*) => {$(
        #[inline(never)]
        pub(crate) fn $name(number: u64) -> Box<Item> {
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
pub(crate) fn fills_vec() {
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

/// A shape: the function that allocates its targets; what must be in the chain, from the root to the block, if it is told; and whether it
/// has to be told whatever the interval, since a large block or a variable is the owner.
pub(crate) type Shape = (&'static str, &'static [&'static str], bool);

pub(crate) const SHAPES: &[Shape] = &[
    ("in_vec", &["::shapes::VEC", "fills_vec"], true),
    ("in_map", &["::shapes::MAP", "fills_map"], true),
    ("in_tree", &["::shapes::TREE", "fills_tree"], false),
    ("in_arcs", &["::shapes::ARCS", "fills_arcs"], false),
    ("in_arc_cycle", &["[cycle", "makes_arc_cycles"], false),
    ("in_rc_cycle", &["[cycle", "makes_rc_cycles"], false),
    ("in_list", &["::shapes::LIST", "fills_list"], false),
    ("in_deque", &["::shapes::DEQUE", "fills_deque"], true),
    ("in_channel", &["::shapes::CHANNEL", "fills_channel"], false),
    ("in_thread_local", &["::shapes::CACHE", "start_threads"], true),
    ("on_stack", &["stack of thread has a vector", "start_threads"], false),
    ("in_leaked", &["::shapes::LEAKED", "leaks"], true),
    ("in_forgotten", &["[lost"], true),
    ("in_intrusive", &["::shapes::INTRUSIVE", "links"], false),
    ("in_chain", &["::shapes::CHAIN", "nests"], false),
    ("in_task", &["spawns"], false),
    ("by_number", &["[lost"], true),
    ("in_once", &["::shapes::ONCE", "fills_once"], true),
];

/// Makes all targets.
pub(crate) fn plant() {
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
