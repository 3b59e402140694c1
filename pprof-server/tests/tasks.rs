//! The tasks of tokio: how many there are, by the function that was spawned and by the site that
//! spawned it. This build has no types of futures, as most have none. What a build has that does is for `scripts/check-tasks.sh`
//! and the demo.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval, unsampled};
use pprof_server::{Server, TaskTable, task_table};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use workspace_tests::check_schema;
use workspace_tests::client::get;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const READERS: usize = 20;
const WRITERS: usize = 3;

async fn reads_orders(mut orders: watch::Receiver<bool>) {
    while orders.changed().await.is_ok() {}
}

async fn writes_answers(mut orders: watch::Receiver<bool>) {
    while orders.changed().await.is_ok() {}
}

#[inline(never)]
fn spawn_readers(runtime: &Runtime, orders: &watch::Receiver<bool>) {
    for _ in 0..READERS {
        drop(runtime.spawn(reads_orders(orders.clone())));
    }
}

#[inline(never)]
fn spawn_writers(runtime: &Runtime, orders: &watch::Receiver<bool>) {
    for _ in 0..WRITERS {
        drop(runtime.spawn(writes_answers(orders.clone())));
    }
}

/// The table as soon as `holds` is true of it.
fn table_when(holds: impl Fn(&TaskTable) -> bool) -> TaskTable {
    let start = Instant::now();
    loop {
        let table = task_table();
        if holds(&table) {
            return table;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "{table:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many tasks of `function` wait, and how many that the function `by` has spawned.
fn counted(table: &TaskTable, function: &str, by: &str) -> f64 {
    let is_it =
        |frames: &[pprof_server::Frame]| frames.last().is_some_and(|frame| frame.function == function);
    let is_by = |frame: &pprof_server::Frame| frame.function == by;
    let rows = table.rows.iter();
    rows.filter(|row| is_it(&row.frames) && row.spawned_by.as_ref().is_some_and(is_by))
        .map(|row| row.tasks)
        .sum()
}

/// Both tests count all tasks of this process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_leak_of_tasks_is_a_suspect_and_tells_where_they_wait() {
    const LEAKED: u64 = 300;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set_sampling_interval(1);
    let server = Server::builder().record_every(Duration::from_secs(1)).serve("127.0.0.1:0").unwrap();
    let ask = |query: &str| unsampled(|| get(server.local_addr(), &format!("/debug/pprof/{query}")));
    let json = |query: &str| -> Value { unsampled(|| serde_json::from_str(ask(query).text()).unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (sender, orders) = watch::channel(false);
    spawn_writers(&runtime, &orders);
    while json("history")["records"].as_array().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..LEAKED / READERS as u64 {
        spawn_readers(&runtime, &orders);
    }
    drop(orders);

    let named = |suspect: &Value| {
        let named = suspect["named_frame"].as_u64().unwrap() as usize;
        suspect["stack"][named]["function"].as_str().unwrap() == "tasks::spawn_readers"
    };
    let start = Instant::now();
    // What was found of tasks is kept for a second, so the tasks of the last look may not be all.
    let suspect = loop {
        let leaks = json("leaks?format=json");
        check_schema("Leaks", &leaks);
        let suspect = leaks["suspects"].as_array().unwrap().iter().find(|suspect| named(suspect)).cloned();
        if let Some(suspect) = suspect.filter(|suspect| suspect["tasks"]["count"] == LEAKED) {
            break suspect;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "{leaks:#}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let tasks = &suspect["tasks"];
    assert_eq!((&tasks["error"], &tasks["samples"]), (&Value::from(0), &Value::from(LEAKED)), "{suspect:#}");
    // None of them was there at the first record, and the three of another function belong to another suspect.
    assert_eq!(
        (&tasks["growth"], &tasks["growth_error"]),
        (&Value::from(LEAKED), &Value::from(0)),
        "{suspect:#}"
    );
    let counts: Vec<u64> =
        tasks["waits"].as_array().unwrap().iter().map(|wait| wait["count"].as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), LEAKED, "{suspect:#}");
    for wait in tasks["waits"].as_array().unwrap() {
        assert_eq!(wait["spawned_by"], "tasks::spawn_readers", "{suspect:#}");
        let stack = wait["stack"].as_array().unwrap();
        assert_eq!(stack.last().unwrap()["function"], "tasks::reads_orders", "{suspect:#}");
    }
    let text = ask("leaks").text().to_owned();
    assert!(text.contains("    tasks 300 ± 0: 300 samples; +300 ± 0 since "), "{text}");
    assert!(text.contains(" wait at tasks::reads_orders"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    drop((sender, runtime));
}

#[test]
fn tasks_are_counted_by_function_and_by_site() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set_sampling_interval(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (sender, orders) = watch::channel(false);
    spawn_readers(&runtime, &orders);
    spawn_writers(&runtime, &orders);
    drop(orders);
    let is_settled = |table: &TaskTable| {
        counted(table, "tasks::reads_orders", "tasks::spawn_readers") == READERS as f64
            && counted(table, "tasks::writes_answers", "tasks::spawn_writers") == WRITERS as f64
    };
    let table = table_when(is_settled);
    let total: f64 = table.rows.iter().map(|row| row.tasks).sum();
    assert_eq!(total, (READERS + WRITERS) as f64, "the runtime's own loops are not among them: {table:?}");
    assert!(table.rows.is_sorted_by(|a, b| a.tasks >= b.tasks), "{table:?}");
    for row in &table.rows {
        assert_eq!((row.standard_error, row.samples as f64), (0.0, row.tasks), "all are sampled");
        assert!(row.ages.is_some_and(|ages| ages.max < Duration::from_secs(1000)), "{row:?}");
    }
    let has_note = |text: &str| table.notes.iter().any(|note| note.contains(text));
    assert!(has_note("tasks: 23 ± 0 are alive, as 23 samples of the heap tell"), "{:?}", table.notes);
    assert!(has_note("[profile.release.package.tasks"), "what gives the lines: {:?}", table.notes);
    drop(sender);
    table_when(|table| table.rows.is_empty());
}
