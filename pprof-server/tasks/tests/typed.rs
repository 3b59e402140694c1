//! What words in variables are, and what the pointers in them lead to, by the types of this program.

mod program;

use program::{Program, bias};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, LinkedList};
use std::hint::black_box;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use tasks::{Memory, OwnMemory, TypeIndex, Typed};

struct Session {
    name: Box<[u64; 32]>,
}

#[derive(Default)]
struct Inner {
    count: u64,
    table: HashMap<u64, Arc<Session>>,
    by_age: BTreeMap<u64, Box<Session>>,
    last: Option<Box<Session>>,
    handlers: Vec<Box<dyn Handler>>,
}

#[derive(Default)]
struct Registry {
    inner: Mutex<Inner>,
}

trait Handler: Send {
    fn name(&self) -> u64;
}

struct Greeter(Box<[u64; 32]>);

impl Handler for Greeter {
    fn name(&self) -> u64 {
        self.0[0]
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);
static LIST: Mutex<LinkedList<Session>> = Mutex::new(LinkedList::new());
static ONCE: OnceLock<Vec<Session>> = OnceLock::new();

thread_local! {
    static CACHE: RefCell<Vec<Session>> = const { RefCell::new(Vec::new()) };
}

fn session() -> Session {
    Session { name: black_box(Box::new([7; 32])) }
}

/// Follows words from a variable to where `goal` begins, as a search for holders finds them: each word is the first one in its block that
/// points to the next block. Returns the fields and the type at each step.
fn follow(index: &mut TypeIndex, memory: &OwnMemory, start: Typed, words: &[(u64, u64)]) -> Vec<String> {
    let mut steps = Vec::new();
    let mut typed = start;
    for &(place, target) in words {
        let word = index.word(memory, typed, place, target).unwrap_or_else(|| panic!("after {steps:?}"));
        typed = word.target.unwrap_or_else(|| panic!("{word:?} after {steps:?}"));
        steps.push(format!("{}: {}", word.fields, index.type_name(typed)));
    }
    steps
}

/// Returns the first word in `start..start + bytes` that points into `target`.
fn word_to(memory: &OwnMemory, start: u64, bytes: u64, target: (u64, u64)) -> (u64, u64) {
    let mut word = [0; 8];
    for place in (start..start + bytes).step_by(8) {
        if memory.read(place, &mut word).is_ok() {
            let value = u64::from_ne_bytes(word);
            if (target.0..target.0 + target.1).contains(&value) {
                return (place, value);
            }
        }
    }
    panic!("no word points there");
}

fn address<T: ?Sized>(value: &T) -> u64 {
    (&raw const *value).cast::<u8>() as u64
}

#[test]
fn words_are_told_by_the_fields_that_the_author_wrote() {
    let mut program = Program::new();
    let (index, memory) = (&mut program.index, &program.memory);
    let start = address(&*REGISTRY);
    let mut inner = REGISTRY.inner.lock().unwrap();
    inner.count = 1;
    inner.last = Some(Box::new(session()));
    let registry = index.static_at(start).expect("the static");
    let bytes = size_of::<Registry>() as u64;
    let last = inner.last.as_deref().unwrap();
    let steps = [
        word_to(memory, start, bytes, (address(last), 1)),
        word_to(memory, address(last), 8, (address(&*last.name), 1)),
    ];
    assert_eq!(follow(index, memory, registry, &steps), ["inner.last: typed::Session", "name: [u64; 32]"]);
    // The number is no pointer.
    assert_eq!(index.word(memory, registry, address(&inner.count), 1), None);
    assert_eq!(index.word(memory, registry, start + bytes + 4096, 1), None);
    assert_eq!(index.static_at(start + bytes + (1 << 40)), None);
}

#[test]
fn tables_and_trees_lead_to_what_is_in_them() {
    let mut program = Program::new();
    let (index, memory) = (&mut program.index, &program.memory);
    let start = address(&*REGISTRY);
    let mut inner = REGISTRY.inner.lock().unwrap();
    for number in 0..100 {
        inner.table.insert(number, Arc::new(session()));
        inner.by_age.insert(number, Box::new(session()));
    }
    let registry = index.static_at(start).expect("the static");
    let (table, by_age) = (address(&inner.table), address(&inner.by_age));
    for number in [0, 50, 99] {
        let value = &inner.table[&number];
        let slot = address(value);
        // The table's word points behind its slots.
        let ctrl = word_to(memory, table, 48, (slot, 1 << 14));
        let session = word_to(memory, slot, 8, (address(&**value) - 16, 64));
        let name = word_to(memory, address(&**value), 8, (address(&*value.name), 1));
        assert_eq!(
            follow(index, memory, registry, &[ctrl, session, name]),
            ["inner.table: [(u64, Arc<typed::Session>)]", ": ArcInner<typed::Session>", "name: [u64; 32]"],
            "{number}"
        );
    }
    // The tree has one inner node above its leaves, or more.
    let root = word_to(memory, by_age, 24, (1 << 16, u64::MAX >> 17));
    let value = &inner.by_age[&0];
    let leaf = word_to(memory, address(value) & !7, 8, (address(&**value), 1));
    let mut nodes = vec![root];
    // The first child of each inner node comes right after what a leaf has.
    let node_bytes = LEAF_BYTES;
    while !(nodes.last().unwrap().1..nodes.last().unwrap().1 + node_bytes).contains(&leaf.0) {
        let node = nodes.last().unwrap().1;
        nodes.push(word_to(memory, node + node_bytes, 8, (1 << 16, u64::MAX >> 17)));
    }
    assert!(nodes.len() >= 2);
    nodes.push(leaf);
    let steps = follow(index, memory, registry, &nodes);
    assert_eq!(steps[0], "inner.by_age: LeafNode<u64, Box<typed::Session>>");
    assert_eq!(steps.last().unwrap(), ": typed::Session", "{steps:?}");
}

/// A leaf has eleven keys and values, the parent and two numbers.
const LEAF_BYTES: u64 = 11 * 8 + 11 * 8 + 8 + 8;

#[test]
fn values_behind_methods_lists_and_cells_are_known() {
    let mut program = Program::new();
    let (index, memory) = (&mut program.index, &program.memory);
    let mut inner = REGISTRY.inner.lock().unwrap();
    inner.handlers.push(Box::new(Greeter(Box::new([9; 32]))));
    assert_eq!(inner.handlers[0].name(), 9);
    let registry = index.static_at(address(&*REGISTRY)).expect("the static");
    let handlers = address(&inner.handlers[0]);
    let vec = word_to(memory, address(&inner.handlers), 24, (handlers, 1));
    let boxed = word_to(memory, handlers, 8, (address(&*inner.handlers[0]), 1));
    let greeter = word_to(memory, boxed.1, 8, (1 << 16, u64::MAX >> 17));
    assert_eq!(
        follow(index, memory, registry, &[vec, boxed, greeter]),
        ["inner.handlers: [Box<dyn typed::Handler>]", ": typed::Greeter", "0: [u64; 32]"]
    );

    LIST.lock().unwrap().push_back(session());
    let list = index.static_at(address(&LIST)).expect("the static");
    let head = word_to(memory, address(&LIST), size_of_val(&LIST) as u64, (1 << 16, u64::MAX >> 17));
    assert_eq!(follow(index, memory, list, &[head]), [": Node<typed::Session>"]);

    let sessions = ONCE.get_or_init(|| vec![session()]);
    let once = index.static_at(address(&ONCE)).expect("the static");
    let first = word_to(memory, address(&ONCE), size_of_val(&ONCE) as u64, (address(&sessions[0]), 1));
    let name = word_to(memory, address(&sessions[0]), 8, (address(&*sessions[0].name), 1));
    assert_eq!(follow(index, memory, once, &[first, name]), [": [typed::Session]", "name: [u64; 32]"]);
}

#[test]
fn variables_of_threads_are_known_by_their_place() {
    let mut program = Program::new();
    let (index, memory) = (&mut program.index, &program.memory);
    CACHE.with_borrow_mut(|cache| cache.push(session()));
    CACHE.with(|cache| {
        let sessions = cache.borrow();
        let word = word_to(memory, address(cache), size_of_val(cache) as u64, (address(&sessions[0]), 1));
        let found = (0..1 << 14).step_by(8).find_map(|place| {
            let typed = index.thread_local_at(bias(), place, word.0)?;
            let word = index.word(memory, typed, word.0, word.1)?;
            let target = word.target?;
            (index.type_name(target) == "[typed::Session]").then_some(place)
        });
        assert!(found.is_some(), "one of the thread's places has the variable");
        assert_eq!(index.thread_local_at(bias() + 1, found.unwrap(), word.0), None, "of another image");
    });
}
