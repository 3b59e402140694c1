//! `/debug/pprof/block` and `mutex` as a developer asks for them: who waits, who made whom wait, and for whom.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Server, labels, serve};
use workspace_tests::client::get;
use workspace_tests::{check_valid, decode, go_tool_pprof, go_tool_pprof_at};

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

fn server() -> Server {
    serve("127.0.0.1:0").unwrap()
}

#[test]
fn go_tool_pprof_shows_who_waits_and_who_makes_wait() {
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

/// A program in which another definition of `syscall` comes first is told so. This one has none.
#[test]
fn a_program_says_what_it_sees() {
    let text = get(server().local_addr(), "/debug/pprof/block?format=text").text().to_owned();
    assert!(!text.contains("are not measured, whatever"), "{text}");
}
