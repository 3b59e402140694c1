//! Somebody sets the system's clock while a profile waits: durations and the order of moments are what they were, and only
//! the stamp of a profile follows the clock.
//!
//! The test runs itself a second time, with a library loaded first that adds a number of seconds to CLOCK_REALTIME.

use std::ffi::{c_char, c_void};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use pprof_server::Server;
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::alloc_profiler::set_sampling_interval;
use serde_json::Value;
use workspace_tests::client::{get, request};
use workspace_tests::decode;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const IS_CHILD: &str = "CLOCK_IS_SET";

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
volatile long seconds_ahead;
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += seconds_ahead;
    return result;
}
"#;

unsafe extern "C" {
    /// With a null handle, of all that is loaded, in the order of loading.
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Sets the clock of this process, so many seconds ahead of the system's.
fn set_clock(seconds_ahead: i64) {
    // SAFETY: the name is a C string; the loader answers with the address of the library's variable, or null.
    let place = unsafe { dlsym(std::ptr::null_mut(), c"seconds_ahead".as_ptr()) };
    assert!(!place.is_null(), "the library is loaded");
    // SAFETY: it is a `long` that lives as long as the process, and whoever reads it meanwhile reads one of two numbers.
    unsafe { place.cast::<i64>().write_volatile(seconds_ahead) }
}

/// Returns the seconds since 1970 UTC.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64()
}

#[test]
fn only_the_stamp_follows_a_clock_that_is_set() {
    if std::env::var_os(IS_CHILD).is_some() {
        return child();
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
    std::fs::write(&source, SHIM).unwrap();
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.expect("a C compiler").success());
    let status = workspace_tests::this_program()
        .args(["--exact", "only_the_stamp_follows_a_clock_that_is_set", "--nocapture"])
        .env(IS_CHILD, "1")
        .env("LD_PRELOAD", &library)
        .status();
    assert!(status.unwrap().success());
}

fn child() {
    const DAY: i64 = 24 * 3600;
    set_sampling_interval(1);
    let server = Server::builder().record_every(Duration::from_secs(1)).serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let ask = move |query: &str| {
        let reply = get(address, &format!("/debug/pprof/{query}"));
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        reply
    };
    let profile = move |query: &str| decode(&ask(query).body);

    let mut kept = vec![vec![1_u8; 100_000]];
    let mut ahead = 0;
    for set_by in [90, DAY, -90 - DAY, -90] {
        let mark = request(address, "POST", "/debug/pprof/mark?name=then&replace=1", "");
        assert!(mark.status < 300, "{}", mark.text());
        profile("delta_heap?client=a");
        let (started, stamp_before) = (Instant::now(), now());
        let waiting = std::thread::spawn(move || profile("heap?seconds=1"));
        std::thread::sleep(Duration::from_millis(300));
        kept.push(vec![1; 100_000]);
        ahead += set_by;
        set_clock(ahead);
        let delta = waiting.join().unwrap();
        let since = profile("heap?since=then");
        let last_call = profile("delta_heap?client=a");
        let table = ask("heap?since=then&format=text");
        let passed = started.elapsed().as_secs_f64();
        let seconds = |nanos: i64| nanos as f64 / 1e9;
        for (what, profile) in [("seconds", &delta), ("mark", &since), ("client", &last_call)] {
            let duration = seconds(profile.duration_nanos);
            assert!((1.0..passed + 5.0).contains(&duration), "{what}, {set_by}: {duration} s of {passed}");
            // The stamp is what the clock said.
            let stamp = seconds(profile.time_nanos) - stamp_before - set_by as f64;
            assert!((0.0..passed + 5.0).contains(&stamp), "{what}, {set_by}: {stamp} s of {passed}");
        }
        let text = table.text();
        let growth: f64 = text["Growth in ".len()..].split(' ').next().unwrap().parse().unwrap();
        assert!((1.0..passed + 5.0).contains(&growth), "{set_by}: {text}");
    }

    // The past is in order, a second apart, and the moment that the time line names is found.
    let history: Value = serde_json::from_str(ask("history").text()).unwrap();
    let time = |moment: &Value| moment["time_nanos"].as_f64().unwrap() / 1e9;
    let mut times: Vec<f64> = history["records"].as_array().unwrap().iter().map(time).collect();
    times.push(time(&history["now"]));
    assert!(times.len() > 4 && times.is_sorted(), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 30.0), "{times:?}");
    let first: Value =
        serde_json::from_str(ask(&format!("heap?at={:.3}&format=json", times[0])).text()).unwrap();
    let recorded = &history["records"][0];
    assert_eq!(first["total"]["inuse_space"], recorded["inuse_space"], "{first}");
    let mark = ask("mark");
    assert!(mark.text().contains("s ago)") && !mark.text().contains("day"), "{}", mark.text());
    drop(kept);
}
