//! From what was recorded to the trace, and its JSON.

use super::*;
use crate::writers::firefox;
use alloc_profiler::CodeAddress;
use capture::{LockEventKind, LockStack, LockSums, LockWord, Stack, ThreadLook, ThreadState, TimedSample};
use serde_json::{Value, json};

const START: Duration = Duration::from_secs(100);

fn stack_of_cpu(address: usize, thread: &str, thread_id: u32) -> Stack {
    let mut stack = Stack::new([CodeAddress::of_instruction(address)].into(), thread, 2);
    stack.thread_id = thread_id;
    stack
}

/// A trace of two seconds, in which one thread used CPU time and another waited.
fn recorded() -> Recorded {
    let mut cpu = CpuSamples::default();
    cpu.stacks = vec![stack_of_cpu(0x1000, "a", 7), stack_of_cpu(0x2000, "b", 8)];
    let sample =
        |millis, stack, periods| TimedSample::new(START + Duration::from_millis(millis), stack, periods);
    cpu.timed = vec![sample(1500, 1, 3), sample(500, 0, 1), sample(700, 0, 1)];
    let mut locks = LockEvents::default();
    let mut event =
        LockEvent::new(LockEventKind::Waited, START + Duration::from_secs(1), Duration::from_millis(300), 8);
    event.stack = Some(0);
    locks.events = vec![event];
    locks.stacks = vec![LockStack::new(
        [CodeAddress::returning_to(0x3001)].into(),
        LockWord::Mutex,
        LockSums::default(),
    )];
    let mut threads = Threads::default();
    let looks =
        [ThreadLook::new(7, "a", ThreadState::Running), ThreadLook::new(8, "b", ThreadState::Sleeping)];
    threads.add(Duration::ZERO, &looks);
    let memory = |seconds, bytes| MemoryPoint {
        at: Duration::from_secs(seconds),
        inuse_bytes: Some(bytes),
        resident_bytes: None,
    };
    Recorded {
        cpu,
        locks: Some(locks),
        blocks: Blocks::default(),
        threads,
        memory: vec![memory(0, 100.0), memory(1, 250.0), memory(2, 50.0)],
        started: START,
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
        duration: Duration::from_secs(2),
    }
}

fn written(recorded: Recorded) -> Value {
    let text = firefox::json(&recorded.named(Symbolize::None), 1 << 20).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The version is that which the viewers' importers were tried with. A newer one of the crate may need newer viewers.
#[test]
fn the_format_is_of_the_version_that_was_tried() {
    let trace = written(recorded());
    assert_eq!(trace["meta"]["preprocessedProfileVersion"], 55);
    assert_eq!((&trace["meta"]["startTime"], &trace["meta"]["interval"]), (&json!(5000.0), &json!(10.0)));
}

#[test]
fn events_are_on_their_threads_at_their_times() {
    let trace = written(recorded());
    let [a, b] = [0, 1].map(|index| &trace["threads"][index]);
    assert_eq!((&a["name"], &b["name"], &b["tid"]), (&json!("a"), &json!("b"), &json!("8")));
    assert_eq!(a["samples"]["timeDeltas"], json!([500.0, 200.0]));
    assert_eq!((&b["samples"]["timeDeltas"], &b["samples"]["weight"]), (&json!([1500.0]), &json!([3])));
    assert_eq!(b["samples"]["threadCPUDelta"], json!([30_000]));
    // The state of the thread, and its wait, which ended after a second.
    assert_eq!(b["markers"]["startTime"], json!([0.0, 700.0]));
    assert_eq!(b["markers"]["endTime"], json!([2000.0, 1000.0]));
    assert_eq!(b["markers"]["data"][1]["waited"], 300.0);
    let stack = &b["markers"]["data"][1]["cause"]["stack"];
    let frame = b["stackTable"]["frame"][stack.as_u64().unwrap() as usize].as_u64().unwrap() as usize;
    let function = b["frameTable"]["func"][frame].as_u64().unwrap() as usize;
    let name = b["funcTable"]["name"][function].as_u64().unwrap() as usize;
    assert_eq!(b["stringArray"][name], "0x3000");
    // Counters have differences; of resident memory nothing is known.
    assert_eq!(trace["counters"].as_array().unwrap().len(), 1);
    assert_eq!(trace["counters"][0]["samples"]["count"], json!([100.0, 150.0, -200.0]));
}

#[test]
fn a_trace_without_room_is_none() {
    let trace = recorded().named(Symbolize::None);
    let whole = firefox::json(&trace, usize::MAX).unwrap().len();
    assert_eq!(firefox::json(&trace, whole).map(|text| text.len()), Some(whole));
    assert_eq!(firefox::json(&trace, whole - 1), None);
}

/// One is recorded at a time, and what it says of itself is in it.
#[test]
fn one_recording_is_made_at_a_time() {
    let Ok(mut recording) = Recording::start(100) else { return };
    assert!(matches!(Recording::start(100), Err(NotStarted::Traced)));
    recording.look();
    let trace = recording.finish().named(Symbolize::None);
    assert!(trace.notes[0].starts_with("trace: ") && trace.memory.len() >= 3, "{:?}", trace.notes);
    assert!(trace.threads.iter().any(|thread| thread.id == std::process::id()));
    assert!(trace.memory.iter().all(|point| point.at <= trace.duration));

    // However expensive the first look was, the last is made.
    let Ok(mut recording) = Recording::start(100) else { return };
    recording.threads.pace.looked(Duration::ZERO, Duration::MAX);
    recording.look();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let waits = move || {
        begun.send(()).expect("the test listens");
        std::thread::park();
    };
    let late = std::thread::Builder::new().name("begins-late".to_owned()).spawn(waits).expect("a thread");
    has_begun.recv().expect("it has begun");
    let trace = recording.finish().named(Symbolize::None);
    let seen = trace.threads.iter().find(|thread| thread.name == "begins-late");
    assert!(seen.is_some_and(|thread| !thread.states.is_empty()), "{:?}", trace.threads);
    late.thread().unpark();
    late.join().expect("it ends");
}
