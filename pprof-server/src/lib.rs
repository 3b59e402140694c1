//! Heap profiles of a Rust program, served and encoded as Go's `net/http/pprof` does.
//!
//! One line adds a sampling heap profiler to a program, and an HTTP server that answers `/debug/pprof/`. `go tool pprof`,
//! a browser, `curl` and the scrapers of continuous profiling read it as they read a Go program's. The profiler is
//! [`alloc_profiler`], which this crate exports; this crate names the addresses of a profile, encodes it and serves it.
//!
//! # Quick start
//!
//! Write this as the first statement of `main`. It makes the profiler the global allocator, and serves
//! `http://127.0.0.1:6060/debug/pprof/`:
//!
//! ```no_run
//! pprof_server::install!();
//! ```
//!
//! Open that address in a browser. Its page shows memory over time, what leaks, and which lines hold memory. Or read a
//! profile with Go's tools:
//!
//! ```sh
//! curl -o heap.out 'http://localhost:6060/debug/pprof/heap'
//! go tool pprof -top heap.out
//! ```
//!
//! A default release build has no debug information. Functions that were inlined are then in no profile, and what they
//! allocate stands on the rows of their callers. These lines in `Cargo.toml` change that:
//!
//! ```toml
//! [profile.release]
//! debug = "limited" # not "line-tables-only", which loses names
//! ```
//!
//! | you want | write |
//! |---|---|
//! | the system's allocator and port 6060 | [`install!()`](install!) |
//! | another address | `install!("127.0.0.1:7070")`, or `install!("unix:/run/app/pprof.sock")` for a Unix socket |
//! | another allocator | `install!(allocator = mimalloc::MiMalloc)`: any `GlobalAlloc` that is a unit struct |
//! | errors, and a server that stops when it is dropped | a `#[global_allocator]` of type [`SamplingAllocator`](alloc_profiler::SamplingAllocator), and [`serve`] |
//! | a token, other machines, other limits | [`Server::builder`], or [`Handler::builder`] inside a server of your own |
//! | the profiles inside a server of your own | [`Handler`], which mounts in axum, hyper, actix-web and others |
//! | to see who waits for locks | `install!(locks = true)`, or [`define_syscall!`] beside your own server |
//! | to tell samples apart by whom they were for | [`labels!`], [`LabelFuture::labelled`], and `install!(labels = true)` for heap profiles |
//! | profiles in Pyroscope, without a scraper | `push`, of the feature of that name |
//! | to know in a test what some code allocates, and where | [`measure`] |
//! | a file and no server | [`write_heap_profile`] |
//! | bytes of a profile, or a table of it | [`heap_profile`], [`heap_text`], [`top_table`], [`heap_folded`] |
//!
//! # Endpoints
//!
//! | path | answer |
//! |---|---|
//! | `/debug/pprof/` | a page for browsers: memory over time, what grew, suspects, a table and a flame graph |
//! | `/debug/pprof/heap` | the profile as gzipped pprof, with names inside; viewers open it on what is in use |
//! | `/debug/pprof/allocs` | the same; viewers open it on what was ever allocated |
//! | `/debug/pprof/leaks` | the stacks that leak, as distinct from caches, bursts and queues |
//! | `/debug/pprof/trace` | what happens in some time, event by event, for Firefox Profiler and Perfetto |
//! | `/debug/pprof/delta_heap` | what was allocated since this client's last call, and what is in use |
//! | `/debug/pprof/delta_block`, `delta_mutex` | what was waited for locks since this client's last call |
//! | `/debug/pprof/history`, `mark` | what the server recorded by itself, and moments with names |
//! | `/debug/pprof/profile` | CPU time by stack, of the next `seconds=30`: what `go tool pprof http://localhost:6060` asks for |
//! | `/debug/pprof/goroutine`, `threadcreate` | where each thread is, and where it began |
//! | `/debug/pprof/goroutineleak` | the tasks that nobody can wake |
//! | `/debug/fgprof` | what all threads do as time goes by |
//! | `/debug/pprof/block`, `mutex` | where threads wait for locks, and who makes them wait, with `install!(locks = true)` |
//! | `/debug/pprof/symbol` | names for addresses, by GET and by POST |
//! | `/debug/pprof/cmdline` | the program's arguments, if that was allowed |
//! | `/metrics`, `/debug/pprof/metrics` | figures for Prometheus |
//!
//! These parameters of `heap` and `allocs` are used most:
//!
//! | parameter | meaning |
//! |---|---|
//! | `seconds=30` | what changes in the next 30 seconds, at most 300 |
//! | `ago=10m`, `since=MARK`, `at=TIME` | what has changed since then, or the profile of then, without waiting |
//! | `min_age=1h`, `labels=age` | only blocks in use that are at least so old; ages as labels |
//! | `debug=1` | Go's text form |
//! | `format=text`, `json`, `folded` | a table, rows for a program, stacks for a flame graph |
//! | `symbolize=none`, `frames=all` | addresses without names; the frames of the allocator and the standard library too |
//!
//! The page `docs/endpoints.md` of the repository has every parameter, status, metric and JSON key, and the differences from Go.
//!
//! # Environment
//!
//! [`install!`] reads all of these variables. [`serve`] and [`Server::builder`] read all but `PPROF_ADDR` and
//! `PPROF_ALLOW_REMOTE`, and [`Handler`] reads the last four. A variable that is empty counts as unset.
//!
//! | variable | meaning |
//! |---|---|
//! | `PPROF_ADDR` | the address to serve at, instead of the one in the code; `unix:/path`: a Unix socket; `off`: serves nowhere |
//! | `PPROF_QUIET` | `1`: prints only errors on standard error |
//! | `PPROF_TOKEN` | a secret of at least 16 characters that every request must carry, as `Authorization: Bearer …` or as a password |
//! | `PPROF_ALLOW_REMOTE` | `1`: addresses that other machines reach, if there is a token |
//! | `PPROF_CMDLINE` | `1`: `/debug/pprof/cmdline` tells the program's arguments |
//! | `PPROF_RECORD` | time between two snapshots that the server keeps, `1s` to `1h`, default `60s`; `off`: keeps none |
//! | `PPROF_BLOCK_RATE` | `1ms`, say: waits for locks are measured all the time, one sample in each such time of waiting |
//! | `PPROF_DUMP` | a folder that profiles are written to before the control group's memory is full: see the page `docs/dumps.md` |
//! | `PPROF_DUMP_SIGNAL` | `USR1`, `USR2`, `HUP` or `QUIT`: a profile is written there on this signal too |
//! | `PPROF_DUMP_AT_EXIT` | `1`: a profile is written there when the program exits too |
//! | `PPROF_DUMP_LIMIT` | resident memory that counts as full, such as `512MiB`, beside the limits of control groups |
//! | `PPROF_PUSH` | with the feature `push` and `install!`: the URL of a Pyroscope that profiles are pushed to; the page `docs/continuous-profiling.md` has the variables beside it |
//! | `PPROF_OPEN_FILES` | `1`: files are opened to find names also after the program has entered a sandbox |
//! | `ALLOC_PROFILER_INTERVAL` | mean bytes between samples, default 524288; `1`: every allocation; `0`: off |
//!
//! # Features
//!
//! `tracing` adds [`LabelLayer`](https://docs.rs/pprof-server/latest/pprof_server/struct.LabelLayer.html), which takes labels from
//! the fields of spans. `push` adds [`push`](https://docs.rs/pprof-server/latest/pprof_server/fn.push.html), which sends profiles to
//! Pyroscope, `push-tls` has it speak TLS, and `push-otlp` has it speak OTLP, whose part for profiles is in development. `http` is on by default. It has the server, the handler, the history and [`install!`]. Without it, the crate encodes profiles
//! and writes files ([`heap_profile`], [`write_heap_profile`]), and needs no HTTP library and no runtime.
//!
//! # Cost
//!
//! An allocation that is not sampled and its free take 6 instructions more, counted in a loop. They make no call, take no lock
//! and write no memory that threads share. The profiler's own memory has a limit of 64 MiB, unless
//! [`alloc_profiler::set_limits`] sets another; it is usually some hundred KiB, and each profile tells it. The server keeps
//! its past in at most 8 MiB. With 100 000 live samples on 10 001 shallow stacks, a profile takes 8.9 ms on 2 cores of an AMD
//! EPYC. The pages `docs/performance.md` and `docs/read-path.md` of the repository have all figures and how they were measured.
//!
//! # What it cannot see
//!
//! - It does not see memory that does not come from the global allocator: `malloc` in C libraries, `mmap`, thread stacks, and
//!   what the allocator wastes or keeps. `/metrics` shows resident memory beside the heap.
//! - It estimates, unless the interval is 1. A figure that rests on `n` samples of small blocks has a relative standard error
//!   of about `1 / sqrt(n)`; large blocks are exact. Every output shows the error beside the figure.
//! - It does not see who asked for an allocation across an `await`, because the stack is that of the poll.
//! - A profile has at most 16 000 samples and 4 MiB, which is what scrapers accept. The rest is summed up under `[other]`, and
//!   totals are exact. The parameter `limit` and [`SizeLimit`] change that.
//!
//! # Where it may be installed
//!
//! **Exposure.** By default nobody from outside reaches the server. It listens on loopback, or on a Unix socket that only its
//! owner may open, and refuses any other address unless that is allowed and a token is set. It refuses requests from pages of
//! other web sites, and bounds connections, bytes and time. It does not speak TLS. `docs/security.md` says which test holds
//! which promise.
//!
//! **Failure.** [`install!`] never stops the program: if the start fails, it prints one line on standard error with the
//! remedy. [`serve`] returns the error instead. The server has threads of its own, which take none of the program's signals.
//!
//! **Order.** Write [`install!`] after what changes the process as a whole: becoming a daemon, a sandbox, `unshare`, `setuid`.
//! What the program allocates before that is sampled too. A child of `fork` has no server until it starts one.
//!
//! **Platforms.** It is built, tested and measured on Linux x86-64 with glibc, and was run with musl. Elsewhere it was not
//! run as a whole: on Linux aarch64 it has its own unwinder, and on macOS and Windows it uses the platform's. Threads, tasks, holders and
//! CPU time are for Linux alone. `docs/reliability.md` lists what the program may rely on.
//!
//! # By hand
//!
//! ```no_run
//! use pprof_server::alloc_profiler::SamplingAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();
//!
//! fn main() -> Result<(), pprof_server::Error> {
//!     let server = pprof_server::serve("127.0.0.1:0")?; // any free port
//!     println!("profiles at http://{}/debug/pprof/", server.endpoint());
//!     // … your program …
//!     pprof_server::write_heap_profile("heap.pb.gz") // the same profile as a file
//! }
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "http")]
mod allocated;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod cgroup;
#[cfg(feature = "http")]
mod cpu_turn;
#[cfg(feature = "http")]
mod dump;
mod encode;
#[cfg(feature = "http")]
mod environment;
mod error;
#[cfg(feature = "http")]
mod history;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
#[doc(hidden)]
pub mod install;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod kept_file;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server keeps files"))]
mod kept_files;
mod labels;
mod mappings;
mod measured;
#[cfg(feature = "http")]
mod own_thread;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server tells of all of it"))]
mod per_process;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a server tells of all of it"))]
mod process;
mod profile;
#[cfg(feature = "push")]
mod push;
mod sources;
#[cfg(feature = "http")]
mod standard_error;
mod symbols;
#[cfg(feature = "http")]
mod trace;
mod writers;

// Each item of it has this path alone here.
pub use alloc_profiler;
#[cfg(feature = "http")]
pub use capture::{define_syscall, set_block_rate};
pub use encode::{
    Ages, Frame, Frames, Labels, MAX_ROWS, ProfileKind, ProfileOptions, SampleType, SizeLimit, Symbolize,
    TopRow, TopTable, heap_folded, heap_profile, heap_text, top_json, top_table, write_heap_profile,
};
#[cfg(feature = "http")]
pub use encode::{TaskRow, TaskTable, held_by, leaked_task_table, task_table};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{Address, Body, Builder, Endpoint, Handler, Peer, Server, serve};
#[cfg(feature = "tracing")]
pub use labels::LabelLayer;
pub use labels::{LabelFuture, LabelScope, LabelSet, Labelled, keep_heap_labels};
pub use measured::{Expected, Measured, MeasuredLine, measure, measure_process};
#[cfg(feature = "push")]
pub use push::{Push, PushBuilder, PushCounts, push};

/// What the tests, benchmarks and fuzz targets of this workspace need. It is not part of the interface, and may change in any
/// version.
#[doc(hidden)]
pub mod internal {
    pub use crate::encode::phases;
    #[cfg(feature = "http")]
    pub use crate::sources::suspects::phases as history_phases;
    pub use crate::writers::pprof::proto;

    /// What the fuzzer calls with bytes of its own.
    #[cfg(all(feature = "http", fuzzing))]
    pub fn fuzz_router(bytes: &[u8]) {
        crate::http::fuzz::route(bytes);
    }

    /// What the fuzzer calls with a maps file, or the head of an ELF file, of its own.
    #[cfg(fuzzing)]
    pub fn fuzz_maps(bytes: &[u8]) {
        crate::mappings::fuzz(bytes);
        crate::mappings::elf_image::fuzz(bytes);
    }
}
