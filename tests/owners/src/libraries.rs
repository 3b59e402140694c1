//! Shapes of owners that are libraries' or a program's own: caches, slabs, wheels of timers, tasks that wait.

use std::mem::forget;
use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use lru::LruCache;
use moka::sync::Cache;
use slab::Slab;

use crate::shapes::{Item, Shape, count};

targets! {
    in_slab in_dash_map in_moka in_lru in_wheel in_waiting_task in_sleeping_task in_backlog_of_tokio in_own_slots in_box_leak
}

static SLAB: Mutex<Slab<Box<Item>>> = Mutex::new(Slab::new());
static DASH_MAP: LazyLock<DashMap<u64, Box<Item>>> = LazyLock::new(DashMap::new);
static MOKA: LazyLock<Cache<u64, Arc<Holder>>> = LazyLock::new(|| Cache::new(1 << 20));
static LRU: LazyLock<Mutex<LruCache<u64, Box<Item>>>> =
    LazyLock::new(|| Mutex::new(LruCache::new(NonZero::new(1 << 16).expect("it is not 0"))));
static WHEEL: Mutex<Wheel> = Mutex::new(Wheel { slots: [const { Vec::new() }; 64], now: 0 });
static BACKLOG: OnceLock<Backlog> = OnceLock::new();
static SLOTS: Mutex<Slots> = Mutex::new(Slots { items: Vec::new(), free: Vec::new() });
static LEAKED: Mutex<Option<&'static Holder>> = Mutex::new(None);

/// A channel of tokio's that nobody reads.
type Backlog = (tokio::sync::mpsc::UnboundedSender<Box<Item>>, Mutex<tokio::sync::mpsc::UnboundedReceiver<Box<Item>>>);

struct Holder {
    _item: Box<Item>,
    _next: Option<&'static Holder>,
}

/// It has timers by the tick at which they fire.
struct Wheel {
    slots: [Vec<Timer>; 64],
    now: usize,
}

struct Timer {
    _item: Box<Item>,
    _ticks: u64,
}

/// What is held by its number: whoever has the number holds it, and the vector has it.
struct Slots {
    items: Vec<Option<Box<Item>>>,
    free: Vec<u32>,
}

#[inline(never)]
fn fills_slab() {
    for number in 0..count() {
        SLAB.lock().unwrap().insert(in_slab(number));
    }
}

#[inline(never)]
fn fills_dash_map() {
    (0..count()).for_each(|number| drop(DASH_MAP.insert(number, in_dash_map(number))));
}

#[inline(never)]
fn fills_moka() {
    for number in 0..count() {
        MOKA.insert(number, Arc::new(Holder { _item: in_moka(number), _next: None }));
    }
    MOKA.run_pending_tasks();
}

#[inline(never)]
fn fills_lru() {
    (0..count()).for_each(|number| drop(LRU.lock().unwrap().put(number, in_lru(number))));
}

#[inline(never)]
fn fills_wheel() {
    for number in 0..count() {
        let mut wheel = WHEEL.lock().unwrap();
        let slot = (wheel.now + number as usize) % 64;
        wheel.slots[slot].push(Timer { _item: in_wheel(number), _ticks: number });
    }
}

#[inline(never)]
fn fills_backlog() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (0..count()).for_each(|number| sender.send(in_backlog_of_tokio(number)).unwrap());
    assert!(BACKLOG.set((sender, Mutex::new(receiver))).is_ok());
}

#[inline(never)]
fn fills_slots() {
    for number in 0..count() {
        let mut slots = SLOTS.lock().unwrap();
        let free = slots.free.pop().map_or(slots.items.len(), |free| free as usize);
        if free == slots.items.len() {
            slots.items.push(None);
        }
        slots.items[free] = Some(in_own_slots(number));
    }
}

#[inline(never)]
fn leaks_boxes() {
    for number in 0..count() {
        let mut leaked = LEAKED.lock().unwrap();
        *leaked = Some(Box::leak(Box::new(Holder { _item: in_box_leak(number), _next: *leaked })));
    }
}

async fn waits(items: Vec<Box<Item>>, mut receiver: tokio::sync::mpsc::Receiver<u64>) {
    receiver.recv().await;
    drop(items);
}

async fn sleeps(items: Vec<Box<Item>>) {
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    drop(items);
}

#[inline(never)]
fn spawns_tasks() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    drop(runtime.spawn(waits((0..count()).map(in_waiting_task).collect(), receiver)));
    drop(runtime.spawn(sleeps((0..count()).map(in_sleeping_task).collect())));
    forget(sender);
    forget(runtime);
}

pub(crate) const SHAPES: &[Shape] = &[
    ("in_slab", &["::libraries::SLAB", "fills_slab"], true),
    ("in_dash_map", &["::libraries::DASH_MAP", "fills_dash_map"], false),
    ("in_moka", &["::libraries::MOKA", "fills_moka"], false),
    ("in_lru", &["::libraries::LRU", "fills_lru"], false),
    ("in_wheel", &["::libraries::WHEEL", "fills_wheel"], false),
    ("in_waiting_task", &["spawns_tasks"], false),
    ("in_sleeping_task", &["spawns_tasks"], false),
    ("in_backlog_of_tokio", &["::libraries::BACKLOG", "fills_backlog"], false),
    ("in_own_slots", &["::libraries::SLOTS", "fills_slots"], true),
    ("in_box_leak", &["::libraries::LEAKED", "leaks_boxes"], false),
];

/// Makes all targets.
pub(crate) fn plant() {
    fills_slab();
    fills_dash_map();
    fills_moka();
    fills_lru();
    fills_wheel();
    fills_backlog();
    fills_slots();
    leaks_boxes();
    spawns_tasks();
}
